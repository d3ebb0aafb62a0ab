//! Functions of numbers that give the same bits with every instruction set.

/// Accumulators of a reduction: as many as the widest vector holds, on every machine, so that bits agree.
pub const LANES: usize = 16;

/// `e^x` to about one unit in the last place: Cephes' `expf` without its special cases, so that it vectorises. Inputs
/// are clamped to the finite range; NaN stays NaN. Training has the same function.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding this rounds to an integer, held in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(2.121_944_4e-4, k.mul_add(-0.693_359_4, x));
    let mut p = 1.987_569_1e-4f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    let y = (p * r).mul_add(r, r) + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Sum of the lanes: each with the one half the width away, until one is left.
#[inline(always)]
pub fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_accurate_over_its_range() {
        for x in (-86_000..=87_000).step_by(37).map(|x| x as f32 / 1000.0) {
            let relative = f64::from(exp(x)) / f64::from(x).exp() - 1.0;
            assert!(relative.abs() < 2e-7, "exp({x}) is off by {relative}");
        }
        assert!(exp(f32::NAN).is_nan());
    }
}
