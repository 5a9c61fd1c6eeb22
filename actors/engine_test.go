package actors

import (
	"errors"
	"testing"
)

func TestAnEngineNeedsItsParts(t *testing.T) {
	for _, cfg := range []Config{{}, {Bridge: &fakeBridge{}}, {Content: forgetful{}}} {
		if e, err := NewEngine(cfg); err == nil || e != nil {
			t.Errorf("%+v made an engine", cfg)
		}
	}
}

func TestAnEngineIsClosedOnce(t *testing.T) {
	r := newRig(t)
	m := r.mount
	results := make(chan error)
	for range 4 {
		go func() { results <- r.engine.Close(t.Context()) }()
	}
	for range 4 {
		check(t, <-results)
	}
	if m.State() != Unmounted {
		t.Errorf("its mount is %v", m.State())
	}
	if _, err := r.engine.Mount(t.Context(), r.spec()); !errors.Is(err, ErrStopped) {
		t.Errorf("mounting: %v", err)
	}
	wantErr(t, "unmount", m.Unmount(t.Context()), ErrUnmounted)
}

func TestClosingEndsAMountThatIsBeingMade(t *testing.T) {
	r := newEngine(t)
	g := r.origin.holdUp("pin")
	mounted := make(chan error)
	go func() { _, err := r.engine.Mount(t.Context(), r.spec()); mounted <- err }()
	<-g.arrived
	closed := make(chan error)
	go func() { closed <- r.engine.Close(t.Context()) }()
	close(g.open)
	check(t, <-mounted)
	check(t, <-closed)
	if len(r.engine.Mounts()) != 0 {
		t.Error("a mount is left")
	}
}
