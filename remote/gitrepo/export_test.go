package gitrepo

// Pids returns the processes that the repository has running.
func (r *Repo) Pids() []int {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	var pids []int
	for p := range r.pool.live {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

// Settle waits until no unwanted answer is being read away any more.
func (r *Repo) Settle() { r.pool.drains.Wait() }
