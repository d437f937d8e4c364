-- What the bench calls in Lua.
local polyhost = require "polyhost"

polyhost.export("bench/Echo", function(request)
    return request
end)
