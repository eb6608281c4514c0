package traffic

import "errors"

// ErrNotKept says that a log has no exchange of that number: it never had, or
// later ones have taken its place.
var ErrNotKept = errors.New("that request is not kept")

// ErrPartial says that of a request's body only the beginning is kept, so that it
// cannot be sent again.
var ErrPartial = errors.New("only the beginning of its body is kept")

// ErrUpgrade says that an exchange became a connection of another protocol, such
// as a WebSocket, which one request cannot make again.
var ErrUpgrade = errors.New("it became a connection of another protocol")
