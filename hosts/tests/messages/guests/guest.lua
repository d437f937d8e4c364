local polyhost = require "polyhost"

local pairs, type = pairs, type

local function echo(message)
    return message
end

local function copy(value)
    if type(value) ~= "table" then
        return value
    end
    local new = {}
    for key, it in pairs(value) do
        new[key] = copy(it)
    end
    return new
end

