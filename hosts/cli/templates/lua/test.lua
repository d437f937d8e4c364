-- The tests: a guest as well, which calls the other one through the host, as everybody does.
local polyhost = require "polyhost"

polyhost.proto("greeter.proto")

local say_hello = polyhost.service("greeter.v1.Greeter/SayHello")

local tests = {}

function tests.greets_by_name()
    local reply = say_hello({ name = "you" })
    assert(reply.text == "Hello, you!", "got " .. reply.text)
end

function tests.refuses_an_empty_name()
    local greeted, refused = pcall(say_hello, { name = "" })
    assert(not greeted, "an empty name was greeted")
    assert(refused.code == "INVALID_ARGUMENT", tostring(refused))
end

polyhost.export("Test", function()
    local passed = {}
    for name, test in pairs(tests) do
        -- The first that fails ends it, with its name and its stack.
        local good, failure = pcall(test)
        if not good then
            error(polyhost.error("test " .. name .. " failed: " .. tostring(failure), failure))
        end
        passed[#passed + 1] = "ok: " .. name .. "\n"
    end
    table.sort(passed)
    return table.concat(passed)
end)
