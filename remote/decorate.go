package remote

// Decorate returns outer with those optional interfaces of this package that inner has, answered by inner unless outer has
// them itself. It is for an origin that wraps another one: embedding an Origin hides what else that one can do, and to have
// all of the methods would promise what it cannot do.
func Decorate(outer, inner Origin) Origin {
	s, b := choose[Sizer](outer, inner), choose[BatchSizer](outer, inner)
	c, l := choose[Changelists](outer, inner), choose[LargeFiles](outer, inner)
	switch [...]bool{c != nil, l != nil} {
	case [...]bool{true, true}:
		return decorateBoth(outer, s, b, c, l)
	case [...]bool{true, false}:
		return decorateLists(outer, s, b, c)
	case [...]bool{false, true}:
		return decorateLarge(outer, s, b, l)
	default:
		return decorateSizes(outer, s, b)
	}
}

// choose returns who answers for an optional interface, nil if neither can.
func choose[T any](outer, inner Origin) T {
	if t, ok := outer.(T); ok {
		return t
	}
	t, _ := inner.(T)
	return t
}

func decorateSizes(o Origin, s Sizer, b BatchSizer) Origin {
	switch {
	case s != nil && b != nil:
		return struct {
			Origin
			Sizer
			BatchSizer
		}{o, s, b}
	case s != nil:
		return struct {
			Origin
			Sizer
		}{o, s}
	case b != nil:
		return struct {
			Origin
			BatchSizer
		}{o, b}
	default:
		return o
	}
}

func decorateLists(o Origin, s Sizer, b BatchSizer, c Changelists) Origin {
	type lists struct {
		Origin
		Changelists
	}
	switch base := (lists{o, c}); {
	case s != nil && b != nil:
		return struct {
			lists
			Sizer
			BatchSizer
		}{base, s, b}
	case s != nil:
		return struct {
			lists
			Sizer
		}{base, s}
	case b != nil:
		return struct {
			lists
			BatchSizer
		}{base, b}
	default:
		return base
	}
}

func decorateLarge(o Origin, s Sizer, b BatchSizer, l LargeFiles) Origin {
	type large struct {
		Origin
		LargeFiles
	}
	switch base := (large{o, l}); {
	case s != nil && b != nil:
		return struct {
			large
			Sizer
			BatchSizer
		}{base, s, b}
	case s != nil:
		return struct {
			large
			Sizer
		}{base, s}
	case b != nil:
		return struct {
			large
			BatchSizer
		}{base, b}
	default:
		return base
	}
}

func decorateBoth(o Origin, s Sizer, b BatchSizer, c Changelists, l LargeFiles) Origin {
	type both struct {
		Origin
		Changelists
		LargeFiles
	}
	switch base := (both{o, c, l}); {
	case s != nil && b != nil:
		return struct {
			both
			Sizer
			BatchSizer
		}{base, s, b}
	case s != nil:
		return struct {
			both
			Sizer
		}{base, s}
	case b != nil:
		return struct {
			both
			BatchSizer
		}{base, b}
	default:
		return base
	}
}
