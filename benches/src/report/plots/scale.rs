//! From numbers to places along an axis.

/// Where the numbers of an axis lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// A logarithmic axis that holds all of `values`, drawn between two places. `None` where no value is positive.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Scale> {
        let logs = values.filter(|it| it.is_finite() && *it > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(it), high.max(it)));
        if low > high {
            return None;
        }
        let margin = ((high - low) * 0.04).max(0.05);
        Some(Scale { low: low - margin, high: high + margin, logarithmic: true, from, to })
    }

    /// A linear axis from nothing to `high`.
    pub(super) fn linear(high: f64, from: f64, to: f64) -> Scale {
        let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
        Scale { low: 0.0, high, logarithmic: false, from, to }
    }

    /// The place of a number; of one outside, the axis's nearer end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        let share = if share.is_nan() { 0.0 } else { share };
        self.from + share * (self.to - self.from)
    }

    /// Numbers to write at the axis: no more than `most`, round ones.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        if self.logarithmic { self.decades(most) } else { self.steps(most) }
    }

    fn decades(&self, most: usize) -> Vec<f64> {
        let within = |log: &f64| (self.low..=self.high).contains(log);
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        for parts in [[1.0, 2.0, 5.0].as_slice(), &[1.0, 3.0], &[1.0]] {
            let all =
                (first..=last).flat_map(|decade| parts.iter().map(move |part| f64::from(decade) + f64::log10(*part)));
            let ticks: Vec<f64> = all.filter(within).map(|log| 10_f64.powf(log)).collect();
            if ticks.len() <= most {
                return ticks;
            }
        }
        let most = i32::try_from(most.max(1)).unwrap_or(1);
        let step = (last - first + most - 1) / most;
        let decades = (first..=last).filter(|decade| decade % step == 0).map(f64::from);
        decades.filter(within).map(|log| 10_f64.powf(log)).collect()
    }

    fn steps(&self, most: usize) -> Vec<f64> {
        let rough = self.high / most.max(1) as f64;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|part| part * decade).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(self.high);
        (0..=most).map(|i| i as f64 * step).take_while(|it| *it <= self.high * 1.001).collect()
    }
}

/// Moves places apart until each has `gap`, between `from` and `to`; gives them in the order they came.
pub(super) fn apart(wanted: &[f64], gap: f64, from: f64, to: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places: Vec<f64> = order.iter().map(|i| wanted[*i].clamp(from, to.max(from))).collect();
    // Down where they touch, and then up again from the end.
    for i in 1..places.len() {
        places[i] = places[i].max(places[i - 1] + gap);
    }
    let mut limit = to;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - gap;
    }
    let mut moved = vec![0.0; wanted.len()];
    order.iter().zip(places).for_each(|(i, place)| moved[*i] = place);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_between_the_ends() {
        let scale =
            Scale::logarithmic([1.0, 1000.0, 0.0, f64::NAN].into_iter(), 0.0, 100.0).expect("some are positive");
        assert!(scale.at(1.0) > 0.0 && scale.at(1000.0) < 100.0 && (scale.at(10.0) - 34.6).abs() < 0.1);
        assert_eq!([0.0, 100.0, 0.0], [0.0, 1e300, f64::NAN].map(|it| scale.at(it)));
        assert!(Scale::logarithmic([0.0, -1.0].into_iter(), 0.0, 1.0).is_none());
        assert_eq!(50.0, Scale::linear(8.0, 0.0, 100.0).at(4.0));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks =
            |low: f64, high: f64| Scale::logarithmic([low, high].into_iter(), 0.0, 1.0).expect("positive").ticks(7);
        let whole = |ticks: Vec<f64>| ticks.iter().map(|it| it.round() as i64).collect::<Vec<_>>();
        assert_eq!(vec![100, 200, 500], whole(ticks(100.0, 500.0)));
        assert_eq!(vec![10, 100, 1000, 10_000, 100_000], whole(ticks(10.0, 1e5)));
        assert!((2..=8).contains(&ticks(1e-9, 1e17).len()), "{:?}", ticks(1e-9, 1e17));
        assert_eq!(vec![0.0, 20.0, 40.0, 60.0, 80.0], Scale::linear(88.0, 0.0, 1.0).ticks(5));
        assert!(Scale::linear(f64::MAX, 0.0, 1.0).ticks(5).len() > 2);
    }

    #[test]
    fn labels_move_apart_and_stay_inside() {
        assert_eq!(vec![10.0, 50.0], apart(&[10.0, 50.0], 12.0, 0.0, 100.0));
        assert_eq!(vec![76.0, 88.0, 100.0], apart(&[99.0, 99.5, 100.0], 12.0, 0.0, 100.0));
        assert_eq!(vec![32.0, 20.0], apart(&[20.5, 20.0], 12.0, 0.0, 100.0));
    }
}
