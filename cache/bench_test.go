package cache_test

import (
	"bytes"
	"testing"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// stock opens a Store that holds n objects of size bytes each.
func stock(b *testing.B, memory int64, n, size int) (*cache.Store, []object.ID) {
	b.Helper()
	s, err := cache.Open(cache.Config{Dir: b.TempDir(), MemoryBytes: memory})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	ids := make([]object.ID, n)
	for i := range ids {
		body := payload(uint64(i), size)
		ids[i] = object.Sum(object.Blob, body)
		if err := s.PutBytes(object.Blob, ids[i], body); err != nil {
			b.Fatal(err)
		}
	}
	return s, ids
}

func BenchmarkReadAtFromMemory(b *testing.B) {
	s, ids := stock(b, 0, 100, 8<<10)
	p := make([]byte, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.ReadAt(ids[i%len(ids)], p, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBytesFromDisk has memory for about one object in ten.
func BenchmarkBytesFromDisk(b *testing.B) {
	s, ids := stock(b, 800<<10, 1000, 8<<10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := s.Bytes(ids[i%len(ids)]); !ok {
			b.Fatal("lost")
		}
	}
}

func BenchmarkReadAtLarge(b *testing.B) {
	s, ids := stock(b, 0, 2, cache.SmallMax+1)
	p := make([]byte, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.ReadAt(ids[i%2], p, 4096); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutBytes(b *testing.B) {
	s, _ := stock(b, 0, 0, 0)
	first := payload(1, 8<<10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body := bytes.Clone(first) // what is put may not be written to again
		body[0], body[1], body[2] = byte(i), byte(i>>8), byte(i>>16)
		if err := s.PutBytes(object.Blob, object.Sum(object.Blob, body), body); err != nil {
			b.Fatal(err)
		}
	}
}
