"""Returns messages, or puts them together anew."""


def echo(message):
    return message


def copy(message):
    new = type(message)()
    for field, value in message.ListFields():
        set_field(new, field, value)
    return new


def set_field(new, field, value):
    old = getattr(new, field.name)
    entry = field.message_type
    if entry and entry.GetOptions().map_entry:
        is_message = entry.fields_by_name["value"].message_type
        for key, it in value.items():
            if is_message:
                old[key].CopyFrom(copy(it))
            else:
                old[key] = it
    elif field.label == field.LABEL_REPEATED:
        old.extend([copy(it) for it in value] if entry else list(value))
    elif entry:
        old.CopyFrom(copy(value))
        old.SetInParent()
    else:
        setattr(new, field.name, value)
