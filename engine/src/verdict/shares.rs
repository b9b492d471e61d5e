//! Shares of parts and wholes of any size.

use super::*;

#[test]
fn r12_a_share_is_rounded_down_and_held_within_a_column_however_large_its_parts_are() {
    let share = |part: i128, whole: i128| share_of(part, whole).map(|share| share.0);
    assert_eq!(share(2, 3), Some(666_666_666));
    assert_eq!(share(-2, 3), Some(-666_666_667));
    assert_eq!((share(1, 0), share(1, -1)), (None, None));
    // 2,000,000,000 / 3,999,999,999 is 0.500000000125: the product with a billion fits.
    assert_eq!(share(2_000_000_000, 3_999_999_999), Some(500_000_000));
    // Nine digits before the point and nine after it are what a column holds.
    assert_eq!(share(5, 1), Some(5_000_000_000));
    assert_eq!(share(999_999_999, 1), Some(999_999_999_000_000_000));
    assert_eq!(share(1_000_000_000, 1), Some(999_999_999_000_000_000));
    assert_eq!(share(-1_000_000_000, 1), Some(-999_999_999_000_000_000));
    // A half of what is too large for the product.
    assert_eq!(share(i128::MAX / 2, i128::MAX), Some(500_000_000));
}
