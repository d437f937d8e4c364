local polyhost = require "polyhost"

polyhost.proto("greeter.proto")

polyhost.export("greeter.v1.Greeter/SayHello", function(request)
    return { text = "Hello, " .. request.name .. ", from Lua!" }
end)
