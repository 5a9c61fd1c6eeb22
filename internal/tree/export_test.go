package tree

// FirstStart is where the first generation of a journal begins.
const FirstStart = firstStart
