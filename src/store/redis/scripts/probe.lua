-- Whether a change could be made: fails where one would, and writes what is of no account. A store that was never begun is left as it is.
local flaw = misshapen()
if flaw then return flaw end
if redis.call('HEXISTS', HEAD, 'epoch') == 1 then touch() end
return 1
