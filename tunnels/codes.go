package tunnels

// meaning explains an error code of the ngrok service to a user of silo.
type meaning struct {
	class Class
	text  string // may contain the placeholders {source}, of the authtoken, and {domain}
	hint  string
}

const (
	hintSignIn  = "get an authtoken at https://dashboard.ngrok.com/get-started/your-authtoken, then: export NGROK_AUTHTOKEN=… (silo also reads tunnels.ngrok.authtoken and ngrok.yml)"
	hintPlan    = "the free plan has one domain, which ngrok chooses, and each silo needs its own: use provider = \"local\", or a plan with your own domains (https://dashboard.ngrok.com/billing/choose-a-plan)"
	hintReserve = "reserve it at https://dashboard.ngrok.com/domains/new (not in the free plan), or use provider = \"local\""
	hintAccount = "see https://dashboard.ngrok.com, or use provider = \"local\""
	hintLimit   = "see https://dashboard.ngrok.com/billing, or use provider = \"local\""
	hintUpgrade = "upgrade silo, or use provider = \"local\""
)

// meanings follows the errors/ pages of github.com/ngrok/ngrok-docs (56a5f99,
// 2026-08) and, for the limits of plans, pricing-limits/.
var meanings = map[string]meaning{
	"ERR_NGROK_102":  {Fatal, "ngrok has suspended the account of the authtoken from {source}: a payment failed", hintAccount},
	"ERR_NGROK_105":  {Fatal, "the authtoken from {source} does not look like an ngrok authtoken", hintSignIn},
	"ERR_NGROK_107":  {Fatal, "the authtoken from {source} is invalid: it was reset or revoked, or you have left its account", hintSignIn},
	"ERR_NGROK_108":  {Conflict, "too many ngrok agents of this account are connected", "stop another silo or ngrok agent (https://dashboard.ngrok.com/agents); plans below pay-as-you-go allow 3, and silo needs one for all silos"},
	"ERR_NGROK_109":  {Fatal, "the ngrok service did not understand the authentication request", "this is a bug in silo: please report it"},
	"ERR_NGROK_120":  {Fatal, "the ngrok service no longer accepts the client of this silo version", hintUpgrade},
	"ERR_NGROK_121":  {Fatal, "the ngrok service no longer accepts the client of this silo version for the account of the authtoken from {source}", hintUpgrade},
	"ERR_NGROK_123":  {Fatal, "the e-mail address of the ngrok account is not verified", "verify it at https://dashboard.ngrok.com/user/settings"},
	"ERR_NGROK_313":  {Fatal, "the ngrok account's plan does not allow the domain {domain}", hintPlan},
	"ERR_NGROK_314":  {Fatal, "the ngrok account's plan does not allow the domain {domain}", hintPlan},
	"ERR_NGROK_315":  {Fatal, "the ngrok account's plan does not allow wildcard domains such as {domain}", "wildcards need the pay-as-you-go plan; name each silo's domain instead"},
	"ERR_NGROK_316":  {Fatal, "the authtoken from {source} may not bind {domain}", "use an authtoken whose access rules allow it (https://dashboard.ngrok.com/authtokens)"},
	"ERR_NGROK_318":  {Fatal, "the wildcard domain {domain} is not reserved for the ngrok account", hintReserve},
	"ERR_NGROK_319":  {Fatal, "the domain {domain} is not reserved for the ngrok account", hintReserve},
	"ERR_NGROK_320":  {Fatal, "the domain {domain} is reserved for another ngrok account", "check its spelling, and that the authtoken from {source} belongs to the right account"},
	"ERR_NGROK_322":  {Fatal, "the domain {domain} is reserved in another ngrok region", "check its spelling, or set tunnels.ngrok.server_addr to that region"},
	"ERR_NGROK_324":  {Fatal, "the ngrok account's plan does not allow another endpoint, for {domain}", "plans below pay-as-you-go allow 3 endpoints: control and two regions; use fewer regions or provider = \"local\""},
	"ERR_NGROK_326":  {Fatal, "the domain {domain} contains a character that is not allowed", "a domain is a bare host name: letters, digits, . and -"},
	"ERR_NGROK_334":  {Conflict, "the domain {domain} is already online elsewhere", "another silo or ngrok agent uses it: stop that one (https://dashboard.ngrok.com/endpoints), or choose another domain"},
	"ERR_NGROK_338":  {Fatal, "ngrok has suspended the account of the authtoken from {source}", hintAccount},
	"ERR_NGROK_702":  {Transient, "too many connections a minute for the ngrok account's plan", hintLimit},
	"ERR_NGROK_718":  {Transient, "too much traffic for the ngrok account's plan", hintLimit},
	"ERR_NGROK_725":  {Fatal, "the ngrok account has used up this month's traffic", hintLimit},
	"ERR_NGROK_727":  {Fatal, "the ngrok account has used up this month's requests", hintLimit},
	"ERR_NGROK_4018": {Fatal, "the ngrok service received no authtoken", hintSignIn},
	"ERR_NGROK_9040": {Fatal, "ngrok does not accept agents from this network address", "use another network, or provider = \"local\""},
}
