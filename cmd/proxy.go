package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/urfave/cli/v2"

	"silo/ports"
	"silo/proxy"
)

func (a *app) proxyCommand() *cli.Command {
	return &cli.Command{
		Name: "proxy", ArgsUsage: "SILO", Category: categoryRequests,
		Flags: append(callerFlags(),
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:0", Usage: "listen on `HOST:PORT`; port 0 picks a free one"},
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "answer 504 if the silo's answer does not begin within `DURATION`"},
		),
		Action: a.proxy,
	}
}

func (a *app) proxy(c *cli.Context) error {
	if c.NArg() != 1 {
		return &usageError{text: "silo proxy takes one silo", hint: "silo proxy control --listen 127.0.0.1:8080"}
	}
	silo, err := a.siloClient(c, c.Args().First())
	if err != nil {
		return err
	}
	listener, err := a.listenAt(c.Context, c.String("listen"))
	if err != nil {
		return err
	}
	forward := silo.Proxy(c.Duration("timeout"))
	defer forward.Close()
	at := listenURL(listener.Addr())
	if c.Bool("json") {
		err = a.printJSON(map[string]string{"silo": silo.Name(), "url": at})
	} else {
		err = a.print(at + "\n")
	}
	if err != nil {
		_ = listener.Close()
		return err
	}
	a.note("forwards requests to " + silo.Name() + "; press Ctrl-C to stop")
	return proxy.Serve(c.Context, listener, forward, func(line string) { a.note(line) })
}

// listenAt opens the address of --listen. If a loopback port is taken, the error names
// the process that uses it.
func (a *app) listenAt(ctx context.Context, address string) (net.Listener, error) {
	host, service, err := net.SplitHostPort(address)
	port, notNumber := strconv.ParseUint(service, 10, 16)
	if err != nil || notNumber != nil {
		return nil, &usageError{text: fmt.Sprintf("--listen %q is not host:port", address), hint: "--listen 127.0.0.1:8080"}
	}
	if port == 0 || host != "127.0.0.1" && host != "localhost" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, exitWith(exitFailed, err.Error(), "--listen 127.0.0.1:0, for any free port")
		}
		return listener, nil
	}
	const name = "--listen"
	reserved, err := ports.Reserve(ctx, []ports.Request{{Name: name, Port: int(port), Fixed: true}})
	if taken, ok := errors.AsType[ports.Conflicts](err); ok {
		hints := []string{"--listen 127.0.0.1:0, for any free port"}
		if command := a.freePortCommand(taken[0]); command != "" {
			hints = append(hints, command)
		}
		return nil, exitWith(exitConflict, a.describeConflicts(taken), hints...)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = reserved.Close() }() // the listener has been handed over
	return reserved.Listener(name)
}

// listenURL returns the URL of a listener. A wildcard address becomes loopback.
func listenURL(at net.Addr) string {
	host, port, _ := net.SplitHostPort(at.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
