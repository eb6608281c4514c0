// Package sentry holds all knowledge of Sentry: its dialects and how to tell
// which one is installed, the region config that it reads, and the environment,
// arguments and signs of health of its devserver.
//
// It must not know processes, ports, tunnels or terminals: whoever needs a
// program run hands it a function, and it starts nothing itself.
package sentry
