-- ARGV: a change's number and its id. Returns 1 if it was made here, 0 if not, -1 if nobody can tell any more.
return has(ARGV[1], ARGV[2])
