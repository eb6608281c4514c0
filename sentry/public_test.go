package sentry

import (
	"fmt"
	"strings"
	"testing"
)

func TestPublic(t *testing.T) {
	t.Parallel()
	const here = " localhost 127.0.0.1 .docker.internal"
	for name, c := range map[string]struct {
		control, us, eu string
		want            public
		hosts           string
	}{
		"one base": {
			control: "https://acme.ngrok.app", us: "https://us.acme.ngrok.app", eu: "https://eu.acme.ngrok.app",
			want: public{
				URLPrefix: "https://acme.ngrok.app", URLTemplate: "https://{region}.acme.ngrok.app", CookieDomain: ".acme.ngrok.app",
				Origins: []string{"https://*.acme.ngrok.app", "https://acme.ngrok.app"}, OriginHosts: []string{".acme.ngrok.app"},
			},
			hosts: ".acme.ngrok.app" + here,
		},
		"siblings in a custom domain": {
			control: "https://control.example.com", us: "https://us.example.com", eu: "https://eu.example.com",
			want: public{
				URLPrefix: "https://control.example.com", URLTemplate: "https://{region}.example.com", CookieDomain: ".example.com",
				Origins: []string{"https://*.example.com", "https://example.com"}, OriginHosts: []string{".example.com"},
			},
			hosts: ".example.com" + here,
		},
		"siblings below a public suffix": {
			control: "https://acme.ngrok.io", us: "https://us.ngrok.io", eu: "https://eu-acme.ngrok.io",
			want: public{
				URLPrefix: "https://acme.ngrok.io",
				Origins:   []string{"https://acme.ngrok.io", "https://us.ngrok.io", "https://eu-acme.ngrok.io"}, OriginHosts: []string{"acme.ngrok.io", "us.ngrok.io", "eu-acme.ngrok.io"},
			},
			hosts: "acme.ngrok.io us.ngrok.io eu-acme.ngrok.io" + here,
		},
		"a port": {
			control: "http://acme.test:8080", us: "http://us.acme.test:8080", eu: "http://eu.acme.test:8080",
			want: public{
				URLPrefix: "http://acme.test:8080", URLTemplate: "http://{region}.acme.test:8080", CookieDomain: ".acme.test",
				Origins: []string{"http://*.acme.test:8080", "http://acme.test:8080"}, OriginHosts: []string{".acme.test:8080"},
			},
			hosts: ".acme.test" + here,
		},
		"https on a port above 1024": {
			control: "https://acme.test:8443", us: "https://us.acme.test:443", eu: "https://eu.acme.test",
			want: public{
				Origins: []string{"https://acme.test:8443", "https://us.acme.test:443", "https://eu.acme.test"}, OriginHosts: []string{"acme.test:8443", "us.acme.test:443", "eu.acme.test"},
			},
			hosts: "acme.test us.acme.test eu.acme.test" + here,
		},
		"IP address": {
			control: "http://192.0.2.7:8000", us: "http://192.0.2.7:8002", eu: "http://192.0.2.7:8004",
			want: public{
				URLPrefix: "http://192.0.2.7:8000",
				Origins:   []string{"http://192.0.2.7:8000", "http://192.0.2.7:8002", "http://192.0.2.7:8004"}, OriginHosts: []string{"192.0.2.7:8000", "192.0.2.7:8002", "192.0.2.7:8004"},
			},
			hosts: "192.0.2.7 192.0.2.7 192.0.2.7" + here,
		},
		"one on loopback": {
			control: "https://acme.test", us: "https://us.acme.test", eu: "http://127.0.0.1:8004",
			want: public{
				URLPrefix: "https://acme.test",
				Origins:   []string{"https://acme.test", "https://us.acme.test"}, OriginHosts: []string{"acme.test", "us.acme.test"},
			},
			hosts: "acme.test us.acme.test" + here,
		},
		"all on loopback": {control: "http://127.0.0.1:1", us: "http://[::1]:2", eu: "http://eu.localhost:3", want: public{URLPrefix: "http://127.0.0.1:1"}},
		"no addresses":    {},
	} {
		c.want.Hosts = strings.Fields(c.hosts)
		got := Config{ControlURL: "http://127.0.0.1:8000", ControlPublic: c.control, Regions: []Region{
			{Name: "us", URL: "http://127.0.0.1:8002", Public: c.us}, {Name: "eu", URL: "http://127.0.0.1:8004", Public: c.eu},
		}}.public()
		if name == "no addresses" {
			c.want.URLPrefix = "http://127.0.0.1:8000" // the address that silos use
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
}
