// Package sentry knows everything about Sentry: its dialects and how to detect the
// installed one, the region config that it reads, and the environment, arguments and
// health checks of its devserver.
//
// It must not know about ports, tunnels or terminals, and starts no process: callers
// pass a function that runs a program.
package sentry
