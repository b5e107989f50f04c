"""What breaks things on purpose: power cuts, failing system calls, and the ledgers that know what was promised before."""
