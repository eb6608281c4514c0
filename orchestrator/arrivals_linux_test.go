package orchestrator

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nextPort is where listenOn looks for the next free port: below those that silos are
// given where any will do, and that the kernel
// gives to outgoing connections: one of either could take it meanwhile.
var (
	firstPort = 9000 + rand.IntN(900)
	nextPort  atomic.Int32
)

// listenOn is a free port, and a way to listen on it.
func listenOn(t *testing.T) (port int, begin func()) {
	t.Helper()
	for {
		at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: firstPort + int(nextPort.Add(1))}
		listener, err := net.ListenTCP("tcp4", at)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return at.Port, func() {
			listener, err := net.ListenTCP("tcp4", at)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = listener.Close() })
		}
	}
}

func TestArrivalsComeOnceTheyListen(t *testing.T) {
	t.Parallel()
	var workers sync.WaitGroup
	a := arrivals{workers: &workers}
	var waiting sync.WaitGroup
	for range 20 {
		port, begin := listenOn(t)
		waiting.Go(func() {
			come := make(chan bool)
			go func() { come <- a.await(t.Context(), port, time.Minute) }()
			select {
			case <-come:
				t.Errorf("port %d has come before anything listened", port)
			case <-time.After(20 * time.Millisecond):
			}
			begin()
			if !<-come {
				t.Errorf("port %d has not come", port)
			}
			a.seenOff()
		})
	}
	waiting.Wait()
	workers.Wait() // nobody waits any more, so nobody sweeps
	a.giveWay()
}

func TestAnArrivalThatDoesNotComeIsGivenUp(t *testing.T) {
	t.Parallel()
	var workers sync.WaitGroup
	a := arrivals{workers: &workers}
	port, _ := listenOn(t)
	if a.await(t.Context(), port, 10*time.Millisecond) {
		t.Error("it has come, to a port that nobody listens on")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a.await(ctx, port, time.Minute) {
		t.Error("it has come, after the end")
	}
	workers.Wait()
}

func TestALaunchGivesWayToWhatHasCome(t *testing.T) {
	t.Parallel()
	var workers sync.WaitGroup
	a := arrivals{workers: &workers}
	port, begin := listenOn(t)
	begin()
	for range 2 {
		if !a.await(t.Context(), port, time.Minute) {
			t.Fatal("it has not come")
		}
	}
	begun := time.Now()
	a.giveWay()
	if waited := time.Since(begun); waited < wayLimit {
		t.Errorf("gave way for %v alone", waited)
	}
	a.seenOff()
	a.seenOff()
	if a.none != nil {
		t.Error("launches give way to what has been seen off")
	}
	workers.Wait()
}
