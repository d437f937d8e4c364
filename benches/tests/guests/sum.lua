local polyhost = require "polyhost"

polyhost.proto("sum.proto")

polyhost.export("test.v1.Sum/Add", function(request)
    return { total = request.a + request.b }
end)
