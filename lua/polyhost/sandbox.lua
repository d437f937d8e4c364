-- What guests get of LuaJIT's libraries, and what the host keeps for itself.
--
-- Runs once in a new VM, with every library open and no guest code in it. Whatever is not named here is taken away:
-- `ffi` and with it every pointer, `debug` but for `traceback`, `jit`, bytecode, C modules, and what ends or starts
-- processes. Guests can't reach the registry, so that what is returned here stays the host's.
local native, library, options, ffi = ...

local guard, guard_handler = native.guard, native.guard_handler
local concat, select, tostring, type, error, pcall = table.concat, select, tostring, type, error, pcall
local debug_getinfo = debug.getinfo
local load, wrap, xpcall, traceback = guard(load), coroutine.wrap, xpcall, debug.traceback

-- Functions that call back into Lua from C: they use the thread's own stack, which LuaJIT does not watch.
local GUARDED = {
    string = { "format", "gsub" },
    table = { "foreach", "foreachi", "sort" },
    coroutine = { "resume" },
}

-- stylua: ignore
local ALLOWED = {
    bit = true,
    math = true,
    coroutine = { "create", "isyieldable", "resume", "running", "status", "wrap", "yield" },
    debug = { "traceback" },
    os = { "clock", "date", "difftime", "time" },
    string = {
        "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper",
    },
    table = { "concat", "foreach", "foreachi", "getn", "insert", "maxn", "move", "remove", "sort" },
}

-- stylua: ignore
local GLOBALS = {
    "_G", "_VERSION", "assert", "collectgarbage", "error", "getfenv", "getmetatable", "ipairs", "next", "pairs",
    "pcall", "rawequal", "rawget", "rawset", "select", "setfenv", "setmetatable", "tonumber", "tostring", "type",
    "unpack", "xpcall",
}

if options.os then
    for _, name in ipairs({ "getenv", "remove", "rename", "tmpname" }) do
        ALLOWED.os[#ALLOWED.os + 1] = name
    end
end
if options.io then
    ALLOWED.io = { "lines", "open", "tmpfile", "type" }
end

for name, functions in pairs(GUARDED) do
    for _, key in ipairs(functions) do
        _G[name][key] = guard(_G[name][key])
    end
end

---Keeps the named entries of a table and drops all others.
local function keep_only(from, names)
    local kept = {}
    for _, name in ipairs(names) do
        kept[name] = true
    end
    for name in pairs(from) do
        if not kept[name] then
            from[name] = nil
        end
    end
end

local names = {}
for _, name in ipairs(GLOBALS) do
    names[#names + 1] = name
end
for name, functions in pairs(ALLOWED) do
    names[#names + 1] = name
    if functions ~= true then
        keep_only(_G[name], functions)
    end
end
keep_only(_G, names)

function coroutine.wrap(body)
    return guard(wrap(body))
end

function _G.xpcall(body, handler, ...)
    if handler ~= traceback then
        handler = guard_handler(handler)
    end
    return xpcall(body, handler, ...)
end

function print(...)
    local parts = {}
    for i = 1, select("#", ...) do
        parts[i] = tostring((select(i, ...)))
    end
    native.print(false, concat(parts, "\t") .. "\n")
end

if options.io then
    -- The host's own streams stay the host's: what a guest writes to them goes to the log, and it reads no stdin.
    local function stream(is_stderr)
        local self = {}
        function self:write(...)
            native.print(is_stderr, concat({ ... }))
            return self
        end
        function self:flush()
            return self
        end
        return self
    end
    io.stdout, io.stderr = stream(false), stream(true)
    function io.write(...)
        return io.stdout:write(...)
    end
    local lines = io.lines
    function io.lines(name, ...)
        if type(name) ~= "string" then
            error("io.lines needs the name of a file: guests have no stdin", 2)
        end
        return lines(name, ...)
    end
end

---What a reader function gives, piece by piece. Not left to LuaJIT's own `load`: an interrupt of the reader within it
---would be the last one, because `lua_loadx` does not reset the flag that a hook runs.
local function read(reader)
    local pieces = {}
    while true do
        local piece = reader()
        if piece == nil or piece == "" then
            return concat(pieces)
        elseif type(piece) ~= "string" then
            error("reader function must return a string", 0)
        end
        pieces[#pieces + 1] = piece
    end
end

-- Text alone: bytecode can do anything.
function _G.load(chunk, name, mode, ...)
    if mode == "b" then
        return nil, "attempt to load chunk with wrong mode"
    end
    if type(chunk) == "function" then
        local ok, text = pcall(read, chunk)
        if not ok then
            return nil, text
        end
        chunk, name = text, name or "=(load)"
    end
    -- An environment of nil is one too.
    if select("#", ...) > 0 then
        return load(chunk, name, "t", (...))
    end
    return load(chunk, name, "t")
end

function loadstring(text, name)
    if type(text) ~= "string" then
        error("loadstring takes a string, not a " .. type(text), 2)
    end
    return load(text, name, "t")
end

local loaded, preload = {}, {}
for name in pairs(ALLOWED) do
    loaded[name] = _G[name]
end
loaded._G = _G
package = { loaded = loaded, preload = preload, config = "/\n;\n?\n!\n-\n" }

local function find(name)
    local loader = preload[name]
    if loader ~= nil then
        return loader, ":preload:"
    end
    local text, where = native.find_module(name)
    if not text then
        error("no module " .. name .. ":\n\tno field package.preload['" .. name .. "']\n\t" .. where, 3)
    end
    local chunk, message = load(text, where, "t")
    if not chunk then
        error("module " .. name .. " does not compile: " .. message, 3)
    end
    return chunk, where:sub(2)
end

---What is being loaded, and how often calls had been interrupted when that began: an interrupt leaves its mark behind.
local loading = {}

function require(name)
    local value = loaded[name]
    if value ~= nil then
        return value
    elseif type(name) ~= "string" then
        error("require takes the name of a module, not a " .. type(name), 2)
    elseif loading[name] == native.interrupts() then
        error("module " .. name .. " requires itself, by way of others perhaps", 2)
    end
    local loader, where = find(name)
    loading[name] = native.interrupts()
    local ok, result = pcall(loader, name, where)
    loading[name] = nil
    if not ok then
        error(result, 0)
    end
    if result ~= nil then
        loaded[name] = result
    elseif loaded[name] == nil then
        loaded[name] = true
    end
    return loaded[name]
end

local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local istype, cast = ffi.istype, ffi.cast

---The 64-bit integer of two halves.
local function join(high, low, signed)
    local bits = uint64(high) * 0x100000000ULL + uint64(low)
    if signed then
        return cast(int64, bits)
    end
    return bits
end

---The two halves of a 64-bit integer, and whether it is signed; nothing for other values.
local function split(value)
    local signed = istype(int64, value)
    if not signed and not istype(uint64, value) then
        return
    end
    local bits = cast(uint64, value)
    return tonumber(bits / 0x100000000ULL), tonumber(bits % 0x100000000ULL), signed
end

local polyhost, Error, context = library(native, options, debug_getinfo)
loaded.polyhost = polyhost

local interrupted = polyhost.status("CANCELLED", "the call was cancelled")
local unknown = setmetatable({}, { __mode = "k" })
return interrupted, context, Error, tostring, split, join, unknown
