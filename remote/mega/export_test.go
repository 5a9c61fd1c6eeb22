package mega

// NewTransport is the one that a client without one of its own uses.
var NewTransport = newTransport
