-- Builds a table of a program in bytes, and makes a message of it.
local polyhost = require "polyhost"

polyhost.proto("conformance/v1/conformance.proto")

local TYPE = "conformance.v1.AllTypes"
local names = { NAMES }
local doubles = { 0, -0, 1, -1, 0.5, 2 ^ 31, 2 ^ 32, 2 ^ 53, 2 ^ 63, 2 ^ 64, -2 ^ 31, -2 ^ 63, 1e300, 5e-324, 1 / 0, -1 / 0, 0 / 0 }
local texts = { "COLOUR_UNSPECIFIED", "COLOUR_RED", "COLOUR_GREEN", "COLOUR_NEGATIVE", "9223372036854775807", "18446744073709551615", "-1", "1e3" }

local function build(text)
    local at, value = 0, nil

    local function byte()
        at = at + 1
        return text:byte(at) or 255
    end

    local function wide(number, two)
        for i = 0, 7 do
            number = number + two ^ (8 * i) * byte()
        end
        return number
    end

    local function values(depth, count)
        local list = {}
        for i = 1, count % 16 do
            list[i] = value(depth)
        end
        return list
    end

    local function fields(depth)
        local message = {}
        local name = byte()
        while name ~= 255 do
            message[names[name % (#names + 1) + 1] or "no field"] = value(depth)
            name = byte()
        end
        return message
    end

    local function pairs_of(depth, count)
        local map = {}
        for _ = 1, count % 16 do
            local key = value(depth)
            if key ~= nil and key == key then
                map[key] = value(depth)
            end
        end
        return map
    end

    function value(depth)
        local kind = byte() % 13
        if kind == 0 then
            return nil
        elseif kind <= 2 then
            return kind == 1
        elseif kind == 3 then
            return doubles[byte() % #doubles + 1]
        elseif kind == 4 then
            return texts[byte() % #texts + 1]
        elseif kind == 5 then
            return wide(0ULL, 2ULL)
        elseif kind == 6 then
            return wide(0LL, 2LL)
        elseif kind == 7 then
            local length = byte()
            at = at + length
            return text:sub(at - length + 1, at)
        elseif kind == 8 then
            return byte()
        elseif depth == 0 then
            return print
        elseif kind == 9 then
            return fields(depth - 1)
        elseif kind == 10 then
            return values(depth - 1, byte())
        elseif kind == 11 then
            return pairs_of(depth - 1, byte())
        end
        return setmetatable({}, {
            __index = function()
                return 1
            end,
        })
    end

    return value(6)
end

polyhost.export("raw/Build", function(program)
    local built, result = pcall(polyhost.encode, TYPE, build(program))
    -- What is no message is told as an error of a kind, and nothing else is raised.
    if built then
        return "\1" .. result
    end
    assert(type(result) == "table" and result.message, result)
    return "\0"
end)

polyhost.export("raw/Again", function(bytes)
    return polyhost.encode(TYPE, polyhost.decode(TYPE, bytes))
end)
