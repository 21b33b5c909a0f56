-- Tests whether a change could be made: fails like a change, and writes a field that has no meaning. A store that was
-- never initialized is not changed.
local flaw = misshapen()
if flaw then return flaw end
if redis.call('HEXISTS', HEAD, 'epoch') == 1 then touch() end
return 1
