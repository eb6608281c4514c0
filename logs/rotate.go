package logs

import "slices"

// Rotation moves pairs, a raw file and then its sidecar, one pair after the
// other from the oldest down. Whatever step it is interrupted at, at most one
// raw file has moved without its sidecar, and then the sidecar's new place is
// free: repair can tell, and so can a reader that looks in that moment.

// shift makes place 0 free. With keep files the oldest one goes.
func (f files) shift(keep int) error {
	if err := f.repair(keep); err != nil {
		return err
	}
	numbers := f.numbers()
	for _, n := range slices.Backward(numbers) {
		step := f.advance
		if n >= keep-1 {
			step = f.drop
		}
		if err := step(n); err != nil {
			return err
		}
	}
	return nil
}

func (f files) advance(n int) error { return f.renumber(n, n+1) }

func (f files) renumber(from, to int) error {
	if err := move(f.raw(from), f.raw(to)); err != nil {
		return err
	}
	return move(f.times(from), f.times(to))
}

func (f files) drop(n int) error {
	if err := remove(f.raw(n)); err != nil {
		return err
	}
	return remove(f.times(n))
}

// repairKnown is repair of a directory that may be known: with hundreds of silos in
// it, to look again for each would be much of what opening their logs costs.
func (f files) repairKnown(names []string, keep int) error {
	f.names = names
	raw, times := f.numbers(), f.timesNumbers()
	if f.names = nil; len(raw) == 0 && len(times) == 0 || slices.Equal(raw, []int{0}) && !slices.ContainsFunc(times, func(n int) bool { return n > 0 }) {
		return nil // nothing was ever rotated
	}
	return f.repair(keep)
}

// repair ends what an interrupted rotation has begun: it brings sidecars to
// their raw files, closes gaps in the numbers and drops files beyond keep.
func (f files) repair(keep int) error {
	if err := f.repairTimes(); err != nil {
		return err
	}
	next := 1
	for _, n := range f.numbers() {
		var err error
		switch {
		case n == 0:
			continue
		case next >= keep:
			err = f.drop(n)
		case n != next:
			err = f.renumber(n, next)
		}
		if err != nil {
			return err
		}
		next++
	}
	return nil
}

func (f files) repairTimes() error {
	have := f.timesNumbers()
	for _, n := range slices.Backward(have) {
		if f.exists(n) {
			continue
		}
		var err error
		if f.exists(n+1) && !slices.Contains(have, n+1) {
			err = move(f.times(n), f.times(n+1))
		} else {
			err = remove(f.times(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
