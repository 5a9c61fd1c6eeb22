package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// floorTask is what the plain client does: it gets all these paths, so many at once.
type floorTask struct {
	Base     string // http://HOST:PORT/NAME
	Paths    []string
	Parallel int
}

// floorOutcome is how long it took, from before the first connection to the last byte.
type floorOutcome struct {
	Nanos int64
	Bytes int64
	Error string `json:",omitempty"`
}

// serveFloor is the main function of the plain client's process: what no file system over the same protocol can beat by much,
// since it knows all URLs beforehand and does nothing with what it gets.
func serveFloor(in io.Reader, out io.Writer) error {
	var t floorTask
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	return json.NewEncoder(out).Encode(t.run())
}

func (t floorTask) run() floorOutcome {
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: t.Parallel, MaxConnsPerHost: t.Parallel, DisableCompression: true,
	}}
	defer client.CloseIdleConnections()
	var (
		next, total atomic.Int64
		wg          sync.WaitGroup
		errs        = make([]error, t.Parallel)
	)
	began := time.Now()
	for i := range t.Parallel {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(t.Paths)) && errs[i] == nil; n = next.Add(1) - 1 {
				var got int64
				got, errs[i] = discard(client, t.Base+t.Paths[n])
				total.Add(got)
			}
		})
	}
	wg.Wait()
	o := floorOutcome{Nanos: time.Since(began).Nanoseconds(), Bytes: total.Load()}
	if err := errors.Join(errs...); err != nil {
		o.Error = err.Error()
	}
	return o
}

// discard reads a URL to its end.
func discard(client *http.Client, url string) (int64, error) {
	resp, err := client.Get(url) //nolint:noctx // its process ends with the task
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return io.Copy(io.Discard, resp.Body)
}
