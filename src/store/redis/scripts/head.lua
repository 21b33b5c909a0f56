-- Which store this is. To remove nothing is a write, too: a server that may not write, because it is a replica or has lost its replicas, says so.
-- One that only can't save has what was acknowledged all the same.
local tried = redis.pcall('HDEL', HEAD, '')
if type(tried) == 'table' and tried.err and not string.find(tried.err, 'MISCONF', 1, true) then
  return tried
end
return head()
