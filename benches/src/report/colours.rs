//! Which colour and mark a contender has: the same on all pages, whoever else took part.

/// Contenders whose number is their place here. New ones are added at the end.
const OURS: [&str; 14] = [
    "native",
    "clib",
    "clr",
    "luajit",
    "cpython",
    "grpc-rust",
    "grpc-python",
    "child-rust",
    "child-python",
    "polyhost-pool",
    "polyhost-inline",
    "kestrel",
    "nginx-kestrel",
    "hyper",
];

/// Colours that the page defines.
pub(crate) const COLOURS: usize = 10;
/// Numbers up to which no two have both colour and mark in common; marks are six.
const DISTINCT: usize = 30;

/// The number of each name. One that is not ours has a number of its name, and the next one where that colour is taken
/// by another contender of the same result.
pub(crate) fn numbers(names: &[&str]) -> Vec<usize> {
    let ours = |name: &str| OURS.iter().position(|it| *it == name);
    let mut numbers: Vec<Option<usize>> = names.iter().map(|name| ours(name)).collect();
    // In the order of names: that of rows says nothing about who is first to choose.
    let mut others: Vec<usize> = (0..names.len()).filter(|i| numbers[*i].is_none()).collect();
    others.sort_by_key(|i| names[*i]);
    for i in others {
        let wanted = hash(names[i]) % COLOURS;
        let is_free = |number: &usize| !numbers.contains(&Some(*number));
        let colours = (0..COLOURS).map(|more| (wanted + more) % COLOURS);
        let number = colours.chain(COLOURS..DISTINCT).find(is_free).unwrap_or(wanted);
        numbers[i] = Some(number);
    }
    numbers.into_iter().map(Option::unwrap_or_default).collect()
}

/// FNV-1a: the same in every build.
fn hash(name: &str) -> usize {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders;

    #[test]
    fn each_of_ours_keeps_its_number() {
        let all = contenders::all();
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        let numbers_of_all = numbers(&names);
        for (name, number) in names.iter().zip(numbers_of_all) {
            assert_eq!(vec![number], numbers(&[*name]), "{name}");
        }
        assert_eq!(vec![4, 2], numbers(&["cpython", "clr"]));
    }

    #[test]
    fn others_have_that_of_their_name_and_never_the_same() {
        let alone = numbers(&["clr:My.dll"]);
        assert_eq!(alone, numbers(&["clr:My.dll"]));
        let names: Vec<String> = (0..DISTINCT - OURS.len()).map(|i| format!("lua:{i}.lua")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.extend(OURS);
        let mut all = numbers(&names);
        names.reverse();
        let reversed: Vec<usize> = numbers(&names).into_iter().rev().collect();
        assert_eq!(all, reversed, "the order of rows does not matter");
        all.sort_unstable();
        all.dedup();
        assert_eq!(names.len(), all.len(), "no two are alike");
    }
}
