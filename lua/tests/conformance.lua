-- The conformance guest in Lua: all of conformance/v1/conformance.proto, whose comments say what each export does.
local polyhost = require "polyhost"

local error, ipairs, pcall, tostring, type = error, ipairs, pcall, tostring, type
local rep = string.rep

polyhost.proto("conformance/v1/conformance.proto")

---@param method string
---@param handler polyhost.Handler
local function export(method, handler)
    polyhost.export("conformance.v1.Conformance/" .. method, handler)
end

local function echo(request)
    return request
end

polyhost.export("raw/Echo", echo)
if io then
    polyhost.export("raw/ReadFile", function(path)
        local file = assert(io.open(path, "rb"))
        local content = file:read("*a")
        file:close()
        return content
    end)
end
polyhost.export("raw/WrongType", function()
    return { "no string" }
end)
polyhost.export("raw/Trace", function(_, context)
    return (context:traceparent() or "") .. "\n" .. (context:tracestate() or "")
end)
export("Echo", echo)
-- Handlers of calls have no event loop to suspend to.
export("EchoAsync", echo)

local function fail(request)
    if request.code ~= 0 then
        error(polyhost.status(request.code, request.message))
    end
    error(request.message)
end

local function fail_deep(request, depth)
    if depth == 0 then
        fail(request)
    end
    fail_deep(request, depth - 1)
    -- No tail call, which would leave no frame.
    return nil
end

export("Fail", function(request)
    if not request.wrapped then
        fail_deep(request, request.depth)
    end
    local _, inner = pcall(fail_deep, request, request.depth)
    error(polyhost.error("wrapped: " .. request.message, inner))
end)

export("CallService", function(request)
    local reply
    local ok, failure = pcall(function()
        local service = polyhost.service(request.service)
        for _ = 1, math.max(request.times, 1) do
            reply = service(request.input)
        end
    end)
    if ok then
        return { output = reply }
    elseif not request.catch then
        error(failure, 0)
    elseif type(failure) == "table" and failure.code then
        return { code = polyhost.codes[failure.code], message = failure.message }
    end
    return { code = polyhost.codes.UNKNOWN, message = tostring(failure) }
end)

export("Context", function(_, context)
    local metadata = {}
    for _, entry in ipairs(context:metadata()) do
        metadata[entry[1]] = entry[2]
    end
    local remaining = context:remaining()
    return {
        metadata = metadata,
        has_deadline = remaining ~= nil,
        remaining_nanos = math.floor((remaining or 0) * 1e9),
        cancelled = context:cancelled(),
    }
end)

export("Log", function(request)
    polyhost.log[request.level](request.message)
    return {}
end)

local sum = 0
export("Add", function(request)
    sum = sum + request.n
    return { sum = sum }
end)

local function spin()
    while true do
    end
end

local ways = {}
ways.HOW_UNSPECIFIED = spin

function ways.HOW_CATCH()
    while true do
        pcall(spin)
    end
end

function ways.HOW_COROUTINE()
    while true do
        coroutine.wrap(function()
            pcall(coroutine.wrap(spin))
        end)()
    end
end

export("Spin", function(request)
    local way = ways[request.how]
    if not way then
        error(polyhost.status("UNIMPLEMENTED", "Lua is told of a cancel by an error, and has nothing to wait for"))
    end
    way()
    return {}
end)

local function recurse(depth, deepest)
    if depth == deepest then
        return depth
    end
    local reached = recurse(depth + 1, deepest)
    return reached
end

export("Recurse", function(request)
    return { depth = recurse(0, request.depth == 0 and -1 or request.depth) }
end)

export("Grow", function(request)
    return { payload = rep("x", request.size) }
end)

local kept
local deeds = {}

function deeds.DEED_EXIT()
    os.exit(9)
end

function deeds.DEED_THROW_ON_THREAD()
    error("Lua starts no threads")
end

function deeds.DEED_KEEP_BUFFER(request, context)
    kept = { request = request, context = context }
end

function deeds.DEED_USE_KEPT_BUFFER()
    -- Tables and strings are the guest's own, and the context speaks of the call it is used in.
    return kept.request.deed, kept.context:remaining()
end

function deeds.DEED_NULL()
    local null
    return null.field
end

function deeds.DEED_ABORT()
    os.execute("kill -ABRT $PPID")
end

function deeds.DEED_UNOBSERVED_TASK()
    coroutine.resume(coroutine.create(error), "nobody looks at this")
end

function deeds.DEED_ALLOCATE()
    local all = {}
    while true do
        all[#all + 1] = rep("x", 2 ^ 16) .. #all
    end
end

function deeds.DEED_LOG()
    while true do
        polyhost.log.info(rep("x", 100))
    end
end

function deeds.DEED_IGNORE_CANCEL()
    polyhost.log.info("goes on")
    ways.HOW_CATCH()
end

export("Misbehave", function(request, context)
    local deed = deeds[request.deed]
    if not deed then
        error(polyhost.status("UNIMPLEMENTED", "Lua has nothing within reach for " .. request.deed))
    end
    deed(request, context)
    return {}
end)
