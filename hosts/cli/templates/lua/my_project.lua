-- A guest: functions that a host calls by name.
local polyhost = require "polyhost"

-- Compiled when the guest is loaded: there is nothing to generate.
polyhost.proto("greeter.proto")

-- What greeter.proto says, for editors. Nothing reads it at run time.
---@class greeter.v1.HelloRequest
---@field name string

---@class greeter.v1.HelloReply
---@field text string?

---@param request greeter.v1.HelloRequest
---@return greeter.v1.HelloReply
local function say_hello(request)
    if request.name == "" then
        -- The caller gets this code, in whatever language it is written. Any other error reaches it, too: as UNKNOWN,
        -- with its stack.
        error(polyhost.status("INVALID_ARGUMENT", "name is empty"))
    end
    polyhost.log.debug("greeting %s", request.name) -- A line of the host's log.
    return { text = "Hello, " .. request.name .. "!" }
end

-- The name is what hosts call it by: package.Service/Method of greeter.proto.
polyhost.export("greeter.v1.Greeter/SayHello", say_hello)
