local polyhost = require "polyhost"

local format = string.format

polyhost.proto("greeter.proto")

polyhost.export("greeter.v1.Greeter/SayHello", function(request)
    if request.name == "" then
        error(polyhost.status("INVALID_ARGUMENT", "name is empty"))
    end
    return { text = format("Hello, %s!", request.name) }
end)
