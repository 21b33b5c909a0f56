-- Returns 1 if this change was made in this store, 0 if not, -1 if this is unknown. ARGV: the number and the id of the
-- change.
return has(ARGV[1], ARGV[2])
