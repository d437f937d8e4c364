-- JSON (RFC 8259), strict: what is no JSON is an error, and what is comes out as it went in.
--
-- An object is a plain table, an array one with the metatable `json.array`, null is `json.null`. An integer that a
-- Lua number holds exactly is one; any other number keeps its text, in a table with the metatable `json.number`.
local byte, char, find, format, gsub, sub =
    string.byte, string.char, string.find, string.format, string.gsub, string.sub
local concat, tonumber, type = table.concat, tonumber, type

local M = {}

M.null = setmetatable({}, {
    __tostring = function()
        return "null"
    end,
})
M.array = {}
M.number = {}

local MAX_DEPTH = 128
local EXACT = 2 ^ 53

local function fail(position, message)
    error({ message = format("%s at byte %d", message, position) }, 0)
end

-- ---- text ----

local function continues(c)
    return c >= 0x80 and c <= 0xbf
end

-- Raises unless all of it is UTF-8 in its shortest form, without surrogates (RFC 3629).
local function check_utf8(text)
    local i = find(text, "[\128-\255]")
    while i do
        local a, b, c, d = byte(text, i, i + 3)
        b, c, d = b or 0, c or 0, d or 0
        local size
        if a >= 0xc2 and a <= 0xdf and continues(b) then
            size = 2
        elseif a >= 0xe0 and a <= 0xef and continues(b) and continues(c) then
            size = not (a == 0xe0 and b < 0xa0) and not (a == 0xed and b > 0x9f) and 3
        elseif a >= 0xf0 and a <= 0xf4 and continues(b) and continues(c) and continues(d) then
            size = not (a == 0xf0 and b < 0x90) and not (a == 0xf4 and b > 0x8f) and 4
        end
        if not size then
            fail(i, "no UTF-8")
        end
        i = find(text, "[\128-\255]", i + size)
    end
end

local function utf8(code)
    if code < 0x80 then
        return char(code)
    end
    local low = 0x80 + code % 64
    code = (code - code % 64) / 64
    if code < 0x20 then
        return char(0xc0 + code, low)
    end
    local middle = 0x80 + code % 64
    code = (code - code % 64) / 64
    if code < 0x10 then
        return char(0xe0 + code, middle, low)
    end
    return char(0xf0 + (code - code % 64) / 64, 0x80 + code % 64, middle, low)
end

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function unescape(text, from)
    local parts, at = {}, 1
    while true do
        local slash = find(text, "\\", at, true)
        if not slash then
            break
        end
        parts[#parts + 1] = sub(text, at, slash - 1)
        local letter = sub(text, slash + 1, slash + 1)
        if letter == "u" then
            local high = find(text, "^%x%x%x%x", slash + 2) and tonumber(sub(text, slash + 2, slash + 5), 16)
            if not high then
                fail(from + slash, "no \\u escape")
            end
            at = slash + 6
            if high >= 0xd800 and high <= 0xdfff then
                local low = find(text, "^\\u[dD][c-fC-F]%x%x", at) and tonumber(sub(text, at + 2, at + 5), 16)
                if high > 0xdbff or not low then
                    fail(from + slash, "half a surrogate pair")
                end
                high = 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00)
                at = at + 6
            end
            parts[#parts + 1] = utf8(high)
        else
            parts[#parts + 1] = ESCAPES[letter] or fail(from + slash, "no escape")
            at = slash + 2
        end
    end
    parts[#parts + 1] = sub(text, at)
    return concat(parts)
end

-- ---- reading ----
-- Bytes one by one, because LuaJIT compiles that, and patterns it does not.

local read_value

-- The place of the next byte that is no white space, and the byte.
local function skip(text, at)
    local c = byte(text, at)
    while c == 0x20 or c == 0x0a or c == 0x0d or c == 0x09 do
        at = at + 1
        c = byte(text, at)
    end
    return at, c
end

-- `at` is behind the opening quote; gives the text and the place behind the closing one.
local function read_string(text, at)
    local stop, escaped = at, false
    local c = byte(text, stop)
    while c ~= 0x22 do
        if c == 0x5c then
            escaped = true
            stop = stop + 1
        elseif not c or c < 0x20 then
            fail(stop, "a string without an end")
        end
        stop = stop + 1
        c = byte(text, stop)
    end
    local raw = sub(text, at, stop - 1)
    if escaped then
        raw = unescape(raw, at - 1)
    end
    return raw, stop + 1
end

-- The value of the digits from `at` on, and the place behind them.
local function read_digits(text, at)
    local value, c = 0, byte(text, at)
    local from = at
    while c and c >= 0x30 and c <= 0x39 do
        value = value * 10 + (c - 0x30)
        at = at + 1
        c = byte(text, at)
    end
    if at == from then
        fail(at, "no value")
    end
    return value, at, c
end

local function read_number(text, at)
    local from, first = at, byte(text, at)
    if first == 0x2d then
        at = at + 1
    end
    if byte(text, at) == 0x30 and find(text, "^%d", at + 1) then
        fail(at, "a number with a leading zero")
    end
    local value, c
    value, at, c = read_digits(text, at)
    if c ~= 0x2e and c ~= 0x65 and c ~= 0x45 and value < EXACT then
        return first == 0x2d and -value or value, at
    end
    local _
    if c == 0x2e then
        _, at, c = read_digits(text, at + 1)
    end
    if c == 0x65 or c == 0x45 then
        local sign = byte(text, at + 1)
        at = (sign == 0x2b or sign == 0x2d) and at + 2 or at + 1
        _, at = read_digits(text, at)
    end
    return setmetatable({ text = sub(text, from, at - 1) }, M.number), at
end

local function read_array(text, at, depth)
    local array, n = setmetatable({}, M.array), 0
    local c
    at, c = skip(text, at)
    if c == 0x5d then
        return array, at + 1
    end
    while true do
        n = n + 1
        array[n], at = read_value(text, at, depth)
        at, c = skip(text, at)
        if c == 0x5d then
            return array, at + 1
        end
        if c ~= 0x2c then
            fail(at, "no , or ]")
        end
        at = at + 1
    end
end

local function read_object(text, at, depth)
    local object = {}
    local c, name
    at, c = skip(text, at)
    if c == 0x7d then
        return object, at + 1
    end
    while true do
        at, c = skip(text, at)
        if c ~= 0x22 then
            fail(at, "no name")
        end
        name, at = read_string(text, at + 1)
        at, c = skip(text, at)
        if c ~= 0x3a then
            fail(at, "no :")
        end
        object[name], at = read_value(text, at + 1, depth)
        at, c = skip(text, at)
        if c == 0x7d then
            return object, at + 1
        end
        if c ~= 0x2c then
            fail(at, "no , or }")
        end
        at = at + 1
    end
end

function read_value(text, at, depth)
    if depth > MAX_DEPTH then
        fail(at, "nested too deep")
    end
    local c
    at, c = skip(text, at)
    if c == 0x22 then
        return read_string(text, at + 1)
    end
    if c == 0x7b then
        return read_object(text, at + 1, depth + 1)
    end
    if c == 0x5b then
        return read_array(text, at + 1, depth + 1)
    end
    if c == 0x74 and sub(text, at, at + 3) == "true" then
        return true, at + 4
    end
    if c == 0x66 and sub(text, at, at + 4) == "false" then
        return false, at + 5
    end
    if c == 0x6e and sub(text, at, at + 3) == "null" then
        return M.null, at + 4
    end
    return read_number(text, at)
end

-- Reads one value; raises a table with a `message` where the text is none.
function M.decode(text)
    check_utf8(text)
    local value, at = read_value(text, 1, 1)
    at = skip(text, at)
    if at <= #text then
        fail(at, "something behind the value")
    end
    return value
end

-- ---- writing ----

local QUOTED = setmetatable({ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }, {
    __index = function(_, c)
        return format("\\u%04x", byte(c))
    end,
})

local function write_string(parts, text)
    for i = 1, #text do
        local c = byte(text, i)
        if c < 0x20 or c == 0x22 or c == 0x5c then
            text = gsub(text, '[%c"\\]', QUOTED)
            break
        end
    end
    local n = #parts
    parts[n + 1], parts[n + 2], parts[n + 3] = '"', text, '"'
end

local function write(parts, value)
    local kind = type(value)
    if kind == "string" then
        write_string(parts, value)
    elseif kind == "number" then
        parts[#parts + 1] = format("%d", value)
    elseif kind ~= "table" then
        parts[#parts + 1] = tostring(value)
    elseif value == M.null then
        parts[#parts + 1] = "null"
    elseif getmetatable(value) == M.number then
        parts[#parts + 1] = value.text
    elseif getmetatable(value) == M.array then
        for i = 1, #value do
            parts[#parts + 1] = i == 1 and "[" or ","
            write(parts, value[i])
        end
        parts[#parts + 1] = #value == 0 and "[]" or "]"
    else
        local separator = "{"
        for name, member in pairs(value) do
            parts[#parts + 1] = separator
            write_string(parts, name)
            parts[#parts + 1] = ":"
            write(parts, member)
            separator = ","
        end
        parts[#parts + 1] = separator == "{" and "{}" or "}"
    end
end

-- Writes what `decode` gives, without spaces. A number in it is an integer.
function M.encode(value)
    local parts = {}
    write(parts, value)
    return concat(parts)
end

return M
