package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"silo/proxy"
	"silo/traffic"
)

// A client must be able to go on after an answer that came before its request's body
// was read: on the same connection, or told that it is closed.
func TestAConnectionOutlivesAnEarlyAnswerOrSaysNot(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]proxy.Options{
		"no port":            {Target: fixed("")},
		"nobody listens":     {Target: fixed("127.0.0.1:1")},
		"recorded":           {Target: fixed(""), Recording: &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}},
		"recorded, and down": {Target: fixed("127.0.0.1:1"), Recording: &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options.Silo = "eu"
			conn, err := net.Dial("tcp", serve(t, options))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			reader := bufio.NewReader(conn)
			for range 3 {
				fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
				answer, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatalf("no answer, and no word before that there would be none: %v", err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusBadGateway {
					t.Errorf("status %d", answer.StatusCode)
				}
				if answer.Close {
					return
				}
			}
		})
	}
}

func TestAStatusThatIsNoneIsAFault(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
			}
			fmt.Fprint(conn, "HTTP/1.1 099 no\r\nContent-Length: 0\r\n\r\n")
			_ = conn.Close()
		}
	}()
	edge := serve(t, proxy.Options{Silo: "eu", Target: fixed(listener.Addr().String())})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+edge, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if answer := do(t, request); answer.status != http.StatusBadGateway || answer.header.Get(proxy.ErrorHeader) != string(proxy.Broken) {
			t.Errorf("%s: %d %s", method, answer.status, answer.header.Get(proxy.ErrorHeader))
		}
	}
}
