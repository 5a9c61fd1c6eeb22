package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// handClock is a clock whose time stands still until the test moves it.
type handClock struct {
	begin time.Time
	slept chan time.Duration // since begin, what each sleeper waits for
	wake  chan struct{}
}

func newHandClock(t *testing.T, roundTrip time.Duration) (*handClock, *clock) {
	h := &handClock{begin: time.Unix(1, 0), slept: make(chan time.Duration, 100), wake: make(chan struct{})}
	c := startClock(roundTrip, func() time.Time { return h.begin }, func(until time.Time) {
		h.slept <- until.Sub(h.begin)
		select {
		case <-h.wake:
		case <-t.Context().Done():
		}
	})
	t.Cleanup(c.stop)
	return h, c
}

func TestAConnectionIsMadeInARoundTripAndCrossedInHalfOne(t *testing.T) {
	h, c := newHandClock(t, 10*time.Millisecond)
	clientFar, client := net.Pipe()
	server, serverFar := net.Pipe()
	defer client.Close()
	defer server.Close()
	go c.join(clientFar, serverFar)
	if got := <-h.slept; got != 10*time.Millisecond {
		t.Errorf("the connection was made after %v", got)
	}
	read := make(chan string)
	go receive(server, read)
	h.wake <- struct{}{}
	if _, err := client.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if got := <-h.slept; got != 5*time.Millisecond {
		t.Errorf("the question took %v", got)
	}
	select {
	case got := <-read:
		t.Fatalf("%q arrived before its time", got)
	default:
	}
	h.wake <- struct{}{}
	if got := <-read; got != "question" {
		t.Errorf("the server got %q", got)
	}
	go receive(client, read)
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if got := <-h.slept; got != 5*time.Millisecond {
		t.Errorf("the answer took %v", got)
	}
	h.wake <- struct{}{}
	if got := <-read; got != "answer" {
		t.Errorf("the client got %q", got)
	}
}

func receive(from net.Conn, to chan<- string) {
	buf := make([]byte, 100)
	n, _ := from.Read(buf)
	to <- string(buf[:n])
}

func TestTheEndOfAConnectionIsDelayedToo(t *testing.T) {
	h, c := newHandClock(t, 10*time.Millisecond)
	clientFar, client := net.Pipe()
	server, serverFar := net.Pipe()
	defer server.Close()
	go c.join(clientFar, serverFar)
	<-h.slept
	h.wake <- struct{}{}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-h.slept; got != 5*time.Millisecond {
		t.Errorf("the end took %v", got)
	}
	h.wake <- struct{}{}
	if _, err := server.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // Read's contract
		t.Errorf("the server read %v", err)
	}
}

func TestADelayedServerAnswersWhole(t *testing.T) {
	body := make([]byte, 3<<20+17)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(got)
	}))
	const trip = 2 * time.Millisecond
	srv.Listener = delay(srv.Listener, trip)
	srv.Start()
	defer srv.Close()
	for range 3 { // on one connection: its deadlines and its reuse work as without the delay
		began := time.Now()
		resp, err := srv.Client().Post(srv.URL, "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes of %d came back: %v", len(got), len(body), err)
		}
		if took := time.Since(began); took < trip { // a bound that holds on any machine, however slow
			t.Errorf("an answer came after %v, sooner than a round trip", took)
		}
	}
}

func TestNoDelayIsNoWrapper(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if delay(ln, 0) != ln {
		t.Error("a round trip of 0 changed the listener")
	}
}
