package main

import "fmt"

// defaultPrefetch is actors.DefaultPrefetch as a user writes it.
const defaultPrefetch = "64MiB"

// checkNumbers looks at flags that a spec would not show.
func (o *mountOptions) checkNumbers() error {
	if o.watchdog < 0 {
		return fmt.Errorf("%w: --watchdog %v: give a time, or 0", errUsage, o.watchdog)
	}
	if o.fetches <= 0 {
		return fmt.Errorf("%w: --fetches %d: give a number above 0", errUsage, o.fetches)
	}
	_, err := o.prefetchBudget()
	return err
}

// prefetchBudget returns --prefetch as a mount's spec has it.
func (o *mountOptions) prefetchBudget() (int64, error) {
	if o.prefetch == "off" || o.prefetch == "0" {
		return -1, nil
	}
	n, err := parseSize("--prefetch", o.prefetch)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: --prefetch %q: give a size as 64MiB, or off", errUsage, o.prefetch)
	}
	return n, nil
}
