local polyhost = require "polyhost"

polyhost.export("test/Shout", function(request)
    return request:upper()
end)
