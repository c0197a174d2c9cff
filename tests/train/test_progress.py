import types

from dsbuild.train.fit.progress import ProgressLines


def test_what_is_left_counts_steps_and_the_pauses_between_legs(capsys):
    now, lines = [0.0], []
    best = types.SimpleNamespace(best=0.5, best_step=4)
    shown = ProgressLines(lines.append, best, "mean_iou", 3, 4, "val", False, lambda: now[0])
    logs = {"loss": 1.0, "mean_iou": 0.25, "val_mean_iou": 0.5, "rate": 0.1}
    logs["images_per_second"] = 8.0
    with shown:
        for epoch in range(3):
            shown.on_epoch_begin(epoch)
            for batch in range(4):
                now[0] += 2 if epoch or batch else 100  # the first one includes tracing
                shown.on_train_batch_end(batch, logs)
            with shown.scoring(5) as advance:
                now[0] += 31
                advance()
            shown.on_epoch_end(epoch, logs)
    words = "loss 1.0000  mIoU 0.250  val mIoU 0.500 (best 0.500 at 4)  rate 0.1  8.0 images/s"
    assert lines == [
        f"step 4 of 12  {words}  1:18 left",  # 8 steps of 2 s and 2 pauses of 31 s
        f"step 8 of 12  {words}  0:39 left",
        f"step 12 of 12  {words}",
    ]
    assert "training: 4 of 12 steps, scoring val, 1 of 5, 0:16 left" in capsys.readouterr().err


def test_without_steps_only_scores_are_shown(capsys):
    shown = ProgressLines(print, None, "mean_iou", 0, 0, "val", True)
    with shown.scoring(5) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
