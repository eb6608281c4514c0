package ngroktest

import "time"

// The stream types (msg.go, ReqType).
const (
	streamAuth         = 0
	streamBind         = 1
	streamUnbind       = 2
	streamProxy        = 3
	streamSrvInfo      = 8
	streamStopEndpoint = 9
	streamHeartbeat    = 0xFFFFFFFF // muxado's, heartbeat.go
)

// The messages are structs because their keys match in any case: the Rust clients
// send AuthToken, the Go client Authtoken.

type authRequest struct {
	Version  []string
	ClientID string `json:"ClientId"`
	Extra    struct {
		Authtoken string
		UserAgent string
		Metadata  string
	}
}

type authReply struct {
	Version  string
	ClientID string `json:"ClientId"`
	Error    string
	Extra    authReplyExtra
}

type authReplyExtra struct {
	Version         string
	Region          string
	Cookie          string
	AccountName     string
	PlanName        string
	Banner          string
	SessionDuration int64
	AgentSessionID  string

	DeprecationWarning *deprecation
}

type deprecation struct {
	NextMin  string
	NextDate time.Time
	Msg      string
}

type bindRequest struct {
	ID         string `json:"Id"`
	Proto      string
	ForwardsTo string
	Opts       map[string]any // echoed unchanged, except for Hostname
	Extra      struct {
		Token          string
		Metadata       string
		PoolingEnabled bool
	}
}

// bindOptions are the options that the service applies.
type bindOptions struct {
	URL, Domain, Hostname, Subdomain string
	BasicAuth                        *struct {
		Credentials []struct {
			Username string
			Password string `json:"cleartext_password"`
		}
	}
	IPRestriction *struct {
		AllowCIDRs []string `json:"allow_cidrs"`
	}
	TrafficPolicy string
}

type bindReply struct {
	ID    string `json:"Id"`
	URL   string
	Proto string
	Opts  map[string]any
	Error string
	Extra bindReplyExtra
}

type bindReplyExtra struct {
	Token    string
	TunnelID string
}

type unbindRequest struct {
	ID string `json:"Id"`
}

type errorReply struct{ Error string }

type srvInfoReply struct{ Region string }

type stopEndpoint struct {
	ID        string `json:"Id"`
	Message   string
	ErrorCode string
}

type proxyHeader struct {
	ID             string `json:"Id"`
	ClientAddr     string
	Proto          string
	EdgeType       string
	PassthroughTLS bool
}
