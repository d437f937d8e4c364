---The guest library of Polyhost: what a Lua module uses to be called, and to call.
---
---```lua
---local polyhost = require "polyhost"
---
---polyhost.proto("greeter.proto")
---
---polyhost.export("greeter.v1.Greeter/SayHello", function(request)
---    if request.name == "" then
---        error(polyhost.status("INVALID_ARGUMENT", "name is empty"))
---    end
---    return { text = "Hello, " .. request.name .. "!" }
---end)
---```
local native, host, getinfo = ...

local error, setmetatable, tostring, type, select = error, setmetatable, tostring, type, select
local format = string.format
local call_service, find_service = native.call_service, native.find_service

---@class polyhost
local M = {}

---The version of this library.
M.version = "0.1.0"

local function major_minor(version)
    return version:match("^%d+%.%d+")
end

if major_minor(M.version) ~= major_minor(host.version) then
    error(format("the guest library is version %s, the host %s; use those of one release", M.version, host.version))
end

---The canonical status codes and their numbers.
M.codes = {
    CANCELLED = 1,
    UNKNOWN = 2,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    FAILED_PRECONDITION = 9,
    ABORTED = 10,
    OUT_OF_RANGE = 11,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    DATA_LOSS = 15,
    UNAUTHENTICATED = 16,
}

local code_names = {}
for name, number in pairs(M.codes) do
    code_names[name] = name
    code_names[number] = name
end

---What is raised here and by host services.
---@class polyhost.Error
---@field code string? One of `polyhost.codes`.
---@field message string
---@field cause any What led to it.
---@field report string? The host's own report of a failed service, which it reads again if the error reaches it.
local Error = { __metatable = "polyhost.Error" }

function Error:__tostring()
    if self.code then
        return self.code .. ": " .. self.message
    end
    return self.message
end

---An error with a message and a cause, to be raised with `error`.
---@param message string
---@param cause any?
---@return polyhost.Error
function M.error(message, cause)
    if type(message) ~= "string" then
        error("the message of an error has to be a string, not a " .. type(message), 2)
    end
    return setmetatable({ message = message, cause = cause }, Error)
end

---An error with a status code, to be raised with `error`.
---@param code string|integer A name or number of `polyhost.codes`.
---@param message string
---@param cause any?
---@return polyhost.Error
function M.status(code, message, cause)
    local name = code_names[code]
    if not name then
        error(format("no status code %s; see polyhost.codes", tostring(code)), 2)
    end
    if type(message) ~= "string" then
        error("the message of a status has to be a string, not a " .. type(message), 2)
    end
    return setmetatable({ code = name, message = message, cause = cause }, Error)
end

---Loads the types of a `.proto` file, for the exports and services that it declares. It is looked for beside the
---module and in the folders of the option `proto_path`.
---@param file string As an `import` of it would say.
---@param folder string? A folder within the module's own, to look in first.
function M.proto(file, folder)
    native.proto(file, folder)
end

---@alias polyhost.Handler fun(request: any, context: polyhost.Context): any

---Exports a function. Where a `.proto` that was loaded before declares the method, it takes and returns tables;
---else strings of raw bytes.
---@param name string `pkg.Service/Method`, or any other name.
---@param handler polyhost.Handler
---@param doc string? What it does; by default what the `.proto` says.
---@overload fun(name: string, options: { raw: boolean?, doc: string? }, handler: polyhost.Handler)
function M.export(name, handler, doc)
    local raw = false
    if type(handler) == "table" then
        local export_options = handler
        handler, doc, raw = doc, export_options.doc, export_options.raw
    end
    if type(handler) ~= "function" then
        error(format("the handler of export %s has to be a function, not a %s", tostring(name), type(handler)), 2)
    end
    -- A handler that takes no context is not given one, which is a fifth of what an empty call costs.
    local takes = getinfo(handler, "u")
    native.export(name, raw, handler, doc, takes.nparams > 1 or takes.isvararg)
end

---A function that calls a host service. It takes and returns tables where a `.proto` that was loaded declares the
---service, else strings of raw bytes. A failure is raised as a `polyhost.Error`.
---@param name string
---@return fun(request: any): any
function M.service(name)
    local id = find_service(name)
    return function(request)
        -- No tail call: the stack of an error has to show who called.
        local reply = call_service(id, request)
        return reply
    end
end

---The bytes of a message.
---@param message_type string The full name of a message that `polyhost.proto` has loaded.
---@param message table
---@return string
function M.encode(message_type, message)
    return (native.encode(message_type, message))
end

---The message that `bytes` are.
---@param message_type string The full name of a message that `polyhost.proto` has loaded.
---@param bytes string
---@return table
function M.decode(message_type, bytes)
    return (native.decode(message_type, bytes))
end

---Writes a line to the host's log. With more arguments the message is a format.
---@alias polyhost.Log fun(message: any, ...)

---@class polyhost.Logger
---@field trace polyhost.Log
---@field debug polyhost.Log
---@field info polyhost.Log
---@field warn polyhost.Log
---@field error polyhost.Log
M.log = {}
for _, level in ipairs({ "trace", "debug", "info", "warn", "error" }) do
    M.log[level] = function(message, ...)
        if select("#", ...) > 0 then
            message = format(message, ...)
        end
        native.log(level, "lua", tostring(message))
    end
end

---The call that is inside: the second argument of every handler. It speaks of the call it is used in, also when it is
---kept; outside of calls there is no deadline and no metadata.
---@class polyhost.Context
local context = {}

---Seconds left until the deadline, 0 when it is past; nil without one.
---@return number?
function context:remaining()
    return (native.remaining())
end

---Whether the call is to stop. It is stopped by itself wherever it is; only a host service that waits is not.
---@return boolean
function context:cancelled()
    return (native.cancelled())
end

---The first metadata value of `key`, or nil; without `key` a list of all, each `{ key, value }`.
---@param key string?
---@return string|string[][]|nil
function context:metadata(key)
    return (native.metadata(key))
end

---The trace that the call belongs to, as the W3C's trace context has it; nil for none.
---@return string?
function context:traceparent()
    return (native.metadata("traceparent"))
end

---What vendors have added to the trace.
---@return string?
function context:tracestate()
    return (native.metadata("tracestate"))
end

M.context = context

return M, Error, context
