package fusebridge

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// buffer is a reader's memory. It is mapped outside Go's heap: a thousand readers that wait for the origin would otherwise
// make the collector believe in gigabytes of which only the first page is ever touched.
//
// What a request is read into must be in memory before. If the kernel has to bring in a page while it copies a request, and
// the process is killed then, it gives the copy up and ends the request with EIO (fuse_dev_do_read), and no next process can
// answer it. So in costs a megabyte, and there are about as many as readers wait: who goes on with a small request while
// nobody waits any more leaves it to the next reader.
type buffer struct {
	in    []byte // nil if it was left to another reader
	out   []byte // for the answer
	small []byte // for a request that was moved out of in
	whole []byte // out and small
}

const (
	// bufferSize holds a WRITE with its headers, or a READ's answer with its own.
	bufferSize = maxWrite + 8192
	// smallSize holds all requests but large WRITEs and SETXATTRs.
	smallSize = 8192
	// keptBuffers is how many are kept for later readers.
	keptBuffers = 64
)

// buffer returns one for a new reader. in may be nil.
func (t *transport) buffer(in []byte) (*buffer, error) {
	var b *buffer
	select {
	case b = <-t.buffers:
	default:
		m, err := mapped(bufferSize + smallSize)
		if err != nil {
			unmapped(in)
			return nil, err
		}
		b = &buffer{out: m[:bufferSize:bufferSize], small: m[bufferSize:], whole: m}
	}
	if b.in == nil {
		b.in, in = in, nil
	}
	unmapped(in)
	return b, nil
}

// keepBuffer keeps a buffer for the next reader, but not all that memory of many.
func (t *transport) keepBuffer(b *buffer) {
	if b.in != nil && len(t.buffers) >= idleReaders {
		unmapped(b.in)
		b.in = nil
	}
	select {
	case t.buffers <- b:
	default:
		b.free()
	}
}

// present sees to it that a request can be read into b.in.
func (b *buffer) present() error {
	if b.in != nil {
		return nil
	}
	m, err := mapped(bufferSize)
	if err != nil {
		return err
	}
	if err := unix.Madvise(m, unix.MADV_POPULATE_WRITE); err != nil { // before Linux 5.14
		for i := 0; i < len(m); i += 4096 {
			m[i] = 0
		}
	}
	b.in = m
	return nil
}

// part returns a request that was read, and b.in if it is not in there any more.
func (b *buffer) part(n int) (request, spare []byte) {
	if n > len(b.small) {
		return b.in[:n], nil
	}
	spare, b.in = b.in, nil
	return b.small[:copy(b.small, spare[:n])], spare
}

func (b *buffer) free() {
	unmapped(b.in)
	unmapped(b.whole)
}

func mapped(size int) ([]byte, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return m, nil
}

func unmapped(m []byte) {
	if m != nil {
		_ = unix.Munmap(m)
	}
}
