// Package fault is what can go wrong between an HTTP client and a server: answers that are late, wrong, cut or never come.
// Tests and the server of package monoserver put faults before a handler, one by one or by rules that change at run time.
//
//	faults := new(fault.Set)
//	srv := httptest.NewServer(faults.Wrap(handler))
//	faults.Add(fault.Rule{Route: "/file/blob/", Count: 2, Fault: fault.Status(503)}) // the next two blobs
//
// # Model
//
// A Fault answers a request in place of the next handler, or with its help. A Rule says which requests meet one. A Set
// holds rules in the order in which they were added, and each request meets those that match it one inside the other: the
// first rule's fault is the outermost. So a delay that was added first also delays the error that a second rule answers.
// A rule that is behind a fault which answers by itself does not see the request, nor count it.
//
// Faults that change a body do it while the body passes, whatever its size. They learn its length from Content-Length. Where
// that is not given they hold the body in memory, unless the handler flushes: then no length is announced to the client
// either, and what is to happen in the middle happens at the first byte.
//
// # Ownership
//
// A Fault has no state and serves any number of requests at once. A Set may be used from any goroutine.
package fault
