use super::*;

fn plot(y_scale: YScale, series: Vec<Series>) -> Plot {
    let (title, x_label, y_label) = ("a & b".into(), "connections".into(), "octets".into());
    Plot { title, x_label, y_label, y_scale, series }
}

fn series(points: &[(f64, f64)]) -> Series {
    Series { name: "one <1>".into(), points: points.to_vec(), quoted: false }
}

#[test]
fn a_log_axis_spaces_factors_evenly() {
    let axis = Axis { scale: YScale::Log, low: 1e3, high: 1e7, at_low: 100.0, at_high: 500.0 };
    let places = [1e3, 1e4, 1e5, 1e6, 1e7].map(|value| axis.place(value).round());
    assert_eq!(places, [100.0, 200.0, 300.0, 400.0, 500.0]);
    assert_eq!(axis.ticks(), [1e3, 1e4, 1e5, 1e6, 1e7]);
}

#[test]
fn a_linear_axis_turned_over_has_its_low_end_below() {
    let axis = Axis { scale: YScale::Linear, low: 0.0, high: 2.0, at_low: 300.0, at_high: 100.0 };
    assert_eq!([axis.place(0.0), axis.place(1.0), axis.place(2.0)], [300.0, 200.0, 100.0]);
    assert_eq!(axis.ticks(), [0.0, 0.5, 1.0, 1.5, 2.0]);
}

#[test]
fn ticks_are_round_and_few() {
    assert_eq!(linear_ticks(0.0, 6.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(linear_ticks(0.0, 100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    assert_eq!(log_ticks(80.0, 480.0), [100.0, 200.0]);
    let text = [0.5, 86.0, 1e3, 2.5e4, 1e7, 3e9].map(tick_text);
    assert_eq!(text, ["0.5", "86", "1 k", "25 k", "10 M", "3 G"]);
}

#[test]
fn every_point_that_can_be_drawn_is() {
    let points = [(1e3, 400.0), (1e4, 0.0), (1e5, f64::NAN), (0.0, 5.0), (1e6, 90.0)];
    let svg = plot(YScale::Log, vec![series(&points)]).svg();
    assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
    let svg = plot(YScale::Linear, vec![series(&points)]).svg();
    assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    assert!(svg.contains("a &amp; b") && svg.contains("one &lt;1&gt;") && svg.contains("last 90"));
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn nothing_and_one_point_are_plots_too() {
    for points in [&[][..], &[(1e3, 7.0)]] {
        for scale in [YScale::Linear, YScale::Log] {
            let svg = plot(scale, vec![series(points)]).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
