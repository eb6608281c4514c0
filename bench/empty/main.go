// Command empty does nothing: what is left of a command's time is the system's
// and the Go runtime's.
package main

func main() {}
