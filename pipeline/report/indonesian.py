"""The report's sentences in Indonesian, by the English ones."""

SENTENCES = {
    # the page's frame
    "Report of the run {name}": "Laporan studi {name}",
    "Skip to the content": "Lewati ke isi",
    "Sections": "Bagian",
    "Every number here stands in figures.json beside this page, under the name that it carries in the page's source.": (
        "Setiap angka di sini ada di figures.json di samping halaman ini, dengan nama yang tertulis di sumber halaman."
    ),
    "The photos are drawn, not real: this report shows that the pipeline works, not how well it sorts waste.": (
        "Fotonya gambar buatan, bukan foto asli: laporan ini menunjukkan bahwa alurnya berjalan, bukan seberapa baik "
        "ia memilah sampah."
    ),
    "Random weights in {names}, as ImageNet's were not at hand: their scores say nothing about these backbones.": (
        "Bobot acak pada {names}, karena bobot ImageNet tidak tersedia: nilainya tidak berarti apa-apa untuk backbone "
        "tersebut."
    ),
    "This run is not finished: {done} of {total} scenarios are complete ({folds_done} of {folds_total} folds).": (
        "Studi ini belum selesai: {done} dari {total} skenario lengkap ({folds_done} dari {folds_total} fold)."
    ),
    "No winner is chosen before all are, so what follows is what there is so far.": (
        "Pemenang baru dipilih setelah semuanya lengkap; berikut ini hanya yang sudah ada."
    ),
    "Stages still to do: {names}.": "Tahap yang belum dikerjakan: {names}.",
    # the summary
    "Scenario {number} sorts best ({backbone}, {optimizer}, dropout {dropout}): macro F1 {f1}, with a 95 % interval "
    "from {low} to {high}.": (
        "Skenario {number} memilah paling baik ({backbone}, {optimizer}, dropout {dropout}): F1 makro {f1}, dengan "
        "selang 95 % dari {low} sampai {high}."
    ),
    "It got {right} of {photos} photos right, each judged by a model that had not seen it.": (
        "Ia benar pada {right} dari {photos} foto, masing-masing dinilai oleh model yang belum pernah melihatnya."
    ),
    "macro F1 of the winner": "F1 makro pemenang",
    "of the photos right": "foto dijawab benar",
    "other scenarios that cannot be told apart from it": "skenario lain yang tidak dapat dibedakan darinya",
    "F1 of {name}, its weakest class": "F1 {name}, kelas terlemahnya",
    "mean gap between its confidence and the truth (ECE)": "selisih rata-rata keyakinan dan kenyataan (ECE)",
    # the scenarios
    "The scenarios": "Skenario",
    "Precision, recall and F1 are means over the classes, each class counting the same, of one confusion matrix a "
    "scenario, summed over {folds} folds. Press a heading to sort.": (
        "Presisi, recall, dan F1 adalah rata-rata antarkelas dengan bobot sama, dari satu matriks kebingungan per "
        "skenario yang dijumlahkan dari {folds} fold. Tekan judul kolom untuk mengurutkan."
    ),
    "Table of the scenarios": "Tabel skenario",
    "No.": "No.",
    "Scenario": "Skenario",
    "Backbone": "Backbone",
    "Optimizer": "Optimizer",
    "Dropout": "Dropout",
    "Precision": "Presisi",
    "Recall": "Recall",
    "Accuracy": "Akurasi",
    "95 % interval": "Selang 95 %",
    "Lowest fold": "Fold terendah",
    "Highest fold": "Fold tertinggi",
    "Seconds": "Detik",
    # the winner
    "The winner, class by class": "Pemenang, kelas demi kelas",
    "Confusion matrix of scenario {number}; the table has the same counts": (
        "Matriks kebingungan skenario {number}; tabel di sampingnya memuat hitungan yang sama"
    ),
    "Rows are the actual class, columns what it was taken for. The brighter a cell, the larger its share of the row.": (
        "Baris adalah kelas sebenarnya, kolom adalah jawabannya. Makin terang sel, makin besar bagiannya dari baris."
    ),
    "The counts of the confusion matrix": "Hitungan matriks kebingungan",
    "actual \\ predicted": "sebenarnya \\ jawaban",
    "predicted class": "kelas jawaban",
    "actual class": "kelas sebenarnya",
    "The arithmetic of each class": "Hitungan tiap kelas",
    "TP are photos of the class that were found, FP photos of others taken for it, FN photos of it taken for others.": (
        "TP adalah foto kelas itu yang ditemukan, FP foto kelas lain yang dikira kelas itu, FN foto kelas itu yang "
        "dikira kelas lain."
    ),
    "Precision, recall and F1 of each class": "Presisi, recall, dan F1 tiap kelas",
    "Mean over the classes (macro)": "Rata-rata antarkelas (makro)",
    "Class": "Kelas",
    "Photos": "Foto",
    # backbones, optimizers, dropouts
    "Backbones, optimizers, dropouts": "Backbone, optimizer, dropout",
    "By backbone": "Menurut backbone",
    "By optimizer": "Menurut optimizer",
    "By dropout": "Menurut dropout",
    "Each dot is a scenario, each stroke the mean of its line.": (
        "Setiap titik adalah satu skenario, setiap garis tegak rata-rata barisnya."
    ),
    "Macro F1 of the scenarios, a line a value.": "F1 makro skenario, satu baris per nilai.",
    "macro F1": "F1 makro",
    "Best": "Terbaik",
    "Mean": "Rata-rata",
    "Worst": "Terburuk",
    "Spread": "Rentang",
    "Only {value} was tried.": "Hanya {value} yang dicoba.",
    "dropout {rate}": "dropout {rate}",
    "The highest mean F1, {best_mean}, is of {best}; the lowest, {worst_mean}, of {worst}.": (
        "Rata-rata F1 tertinggi, {best_mean}, dicapai {best}; yang terendah, {worst_mean}, oleh {worst}."
    ),
    "Even the worst scenario with {best} ({lowest}) is above the best of all others ({next_best}).": (
        "Skenario terburuk dengan {best} ({lowest}) pun di atas yang terbaik dari semua yang lain ({next_best})."
    ),
    "The gap of {gap} is wider than the ±{doubt} by which one figure is unsure.": (
        "Selisih {gap} lebih lebar daripada ketidakpastian satu angka, ±{doubt}."
    ),
    "The gap of {gap} is within the ±{doubt} by which one figure is unsure.": (
        "Selisih {gap} masih di dalam ketidakpastian satu angka, ±{doubt}."
    ),
    "Between scenarios that are alike in all else, it changes F1 by {matched} at most.": (
        "Di antara skenario yang selebihnya sama, F1 berubah paling banyak {matched}."
    ),
    # doubt
    "How sure is the order?": "Seberapa pasti urutannya?",
    "{n} of the {m} other scenarios cannot be told apart from the winner on these photos: {numbers}.": (
        "{n} dari {m} skenario lain tidak dapat dibedakan dari pemenang pada foto-foto ini: {numbers}."
    ),
    "None of the {m} other scenarios can be told apart from the winner on these photos.": (
        "Tidak satu pun dari {m} skenario lain dapat dibedakan dari pemenang pada foto-foto ini."
    ),
    "Each of the {m} other scenarios can be told apart from the winner on these photos.": (
        "Setiap skenario lain, {m} jumlahnya, dapat dibedakan dari pemenang pada foto-foto ini."
    ),
    "McNemar's test, which looks at accuracy instead of F1, decides otherwise for {numbers}.": (
        "Uji McNemar, yang melihat akurasi dan bukan F1, memutuskan lain untuk {numbers}."
    ),
    "McNemar's test, which looks at accuracy instead of F1, decides alike for all of them.": (
        "Uji McNemar, yang melihat akurasi dan bukan F1, memutuskan sama untuk semuanya."
    ),
    "Macro F1 and its 95 % bootstrap interval, best on top. Blue diamonds cannot be told apart from the winner, orange "
    "dots can.": (
        "F1 makro dan selang bootstrap 95 %, yang terbaik di atas. Belah ketupat biru tidak dapat dibedakan dari "
        "pemenang, titik jingga dapat."
    ),
    "The comparisons one by one": "Perbandingan satu per satu",
    "Comparisons with the winner": "Perbandingan dengan pemenang",
    "Below the winner by": "Di bawah pemenang",
    "p, corrected": "p, dikoreksi",
    "Only the winner right": "Hanya pemenang benar",
    "Only this one right": "Hanya ini yang benar",
    "McNemar's p, corrected": "p McNemar, dikoreksi",
    "Told apart": "Dapat dibedakan",
    "yes": "ya",
    "no": "tidak",
    "The intervals are percentiles of at least 2,000 draws of the photos with replacement; each comparison draws the "
    "same photos for both scenarios. Two scenarios are told apart where p is below 0.05 after Holm's correction for "
    "all comparisons. What another seed, another split or other photos to train on would change is not in these "
    "intervals; photos that are almost alike count as independent, which makes them a little narrow; and the winner "
    "was picked on the same photos, which flatters it a little.": (
        "Selang adalah persentil dari sedikitnya 2.000 penarikan foto dengan pengembalian; tiap perbandingan menarik "
        "foto yang sama untuk kedua skenario. Dua skenario dapat dibedakan bila p di bawah 0,05 setelah koreksi Holm "
        "untuk semua perbandingan. Perubahan akibat seed, pembagian, atau foto latih lain tidak termasuk dalam selang "
        "ini; foto yang hampir sama dihitung sebagai foto yang saling bebas, sehingga selangnya agak terlalu sempit; "
        "dan pemenang dipilih dengan foto yang sama, sehingga nilainya sedikit terlalu baik."
    ),
    # calibration
    "How far its confidence can be trusted": "Seberapa jauh keyakinannya dapat dipercaya",
    "On average it is {confidence} sure of its answer, and {accuracy} of its answers are right. The expected "
    "calibration error over 15 bins is {ece}.": (
        "Rata-rata ia {confidence} yakin akan jawabannya, dan {accuracy} jawabannya benar. Galat kalibrasi harapan "
        "(ECE) dengan 15 kelompok adalah {ece}."
    ),
    "Reliability: on the dashed line, confidence is what it claims to be; above it, the model is too modest. Larger "
    "dots hold more photos.": (
        "Keandalan: pada garis putus-putus, keyakinan sesuai kenyataan; di atasnya, model terlalu rendah hati. Titik "
        "yang lebih besar memuat lebih banyak foto."
    ),
    "What answering only above a confidence gains in accuracy, and what it costs in answers.": (
        "Akurasi yang diperoleh bila hanya menjawab di atas suatu keyakinan, dan jawaban yang hilang karenanya."
    ),
    "Coverage and accuracy by threshold": "Cakupan dan akurasi menurut ambang",
    "confidence": "keyakinan",
    "accuracy": "akurasi",
    "confidence asked for": "keyakinan yang diminta",
    "accuracy of the answers": "akurasi jawaban",
    "share answered": "bagian yang dijawab",
    # mistakes
    "What it gets wrong": "Yang salah dijawabnya",
    "By pair of classes, the most frequent first; in each the photos that it was surest of, with its confidence in the "
    "wrong class.": (
        "Menurut pasangan kelas, yang paling sering lebih dulu; di tiap pasangan foto yang paling diyakininya, dengan "
        "keyakinannya pada kelas yang salah."
    ),
    "{count} photos are no longer where the run found them, or cannot be read, and are shown as empty frames.": (
        "{count} foto tidak ada lagi di tempatnya semula, atau tidak terbaca, dan ditampilkan sebagai bingkai kosong."
    ),
    "It got every photo right.": "Semua foto dijawab benar.",
    "{name}: {actual}, taken for {predicted}": "{name}: {actual}, dikira {predicted}",
    "{name} is gone": "{name} tidak ada lagi",
    # training and matrices
    "Training, fold by fold": "Pelatihan, fold demi fold",
    "On the photos trained on: a fold's other photos are asked once, after its last epoch.": (
        "Pada foto yang dilatihkan: foto lain dari suatu fold ditanyakan sekali, setelah epoch terakhirnya."
    ),
    "Scenario {number}: loss and accuracy by epoch, a line a fold.": (
        "Skenario {number}: loss dan akurasi per epoch, satu garis per fold."
    ),
    "The loss of every scenario": "Loss setiap skenario",
    "Training loss of every scenario under its number, a line a fold, all on one scale.": (
        "Loss pelatihan setiap skenario di bawah nomornya, satu garis per fold, semua dengan skala yang sama."
    ),
    "training loss": "loss pelatihan",
    "training accuracy": "akurasi pelatihan",
    "epoch": "epoch",
    "fold": "fold",
    "Every confusion matrix": "Semua matriks kebingungan",
    "Best first; rows are the actual class. The files stand beside this page, too, in confusion/.": (
        "Yang terbaik lebih dulu; baris adalah kelas sebenarnya. Berkasnya juga ada di samping halaman ini, di "
        "confusion/."
    ),
    "Confusion matrix of scenario {number}, {backbone}, {optimizer}, dropout {dropout}: {right} of {photos} photos on "
    "the diagonal": (
        "Matriks kebingungan skenario {number}, {backbone}, {optimizer}, dropout {dropout}: {right} dari {photos} foto "
        "pada diagonal"
    ),
    # the photos
    "The photos": "Foto-fotonya",
    "Photos of each class": "Foto tiap kelas",
    "Left out: {copies} exact copies, {conflicts} files whose bytes stand under several classes, {rejects} that could "
    "not be used.": (
        "Tidak dipakai: {copies} salinan persis, {conflicts} berkas yang isinya ada di beberapa kelas, {rejects} yang "
        "tidak dapat digunakan."
    ),
    "Augmented views": "Tampilan augmentasi",
    "Half of them are upside down.": "Separuhnya terbalik atas-bawah.",
    "Half of the augmented views were upside down.": "Separuh tampilan augmentasi terbalik atas-bawah.",
    "The first is the photo as it is; the others are what training sees of it.": (
        "Yang pertama adalah foto apa adanya; yang lain adalah yang dilihat pelatihan."
    ),
    "{name} as it is": "{name} apa adanya",
    "{name}, augmented view {number}": "{name}, tampilan augmentasi {number}",
    "The photos are no longer where the run found them, so no view can be shown.": (
        "Foto tidak ada lagi di tempatnya semula, sehingga tidak ada tampilan yang dapat diperlihatkan."
    ),
    # the method
    "How it was made, and how to read it": "Cara pembuatan dan cara membacanya",
    "Backbones": "Backbone",
    "frozen, at {size} x {size} pixels": "dibekukan, {size} x {size} piksel",
    "trained with the head, at {size} x {size} pixels": "dilatih bersama kepala, {size} x {size} piksel",
    "Fine-tuning": "Pelatihan lanjut",
    "{backbone} fine-tuned": "{backbone} dilatih lanjut",
    "the best {count} once more, with the backbone trained": (
        "{count} yang terbaik sekali lagi, dengan backbone dilatih"
    ),
    "unfrozen: {unfreeze}; BatchNorm: {batchnorm}; epochs of the head alone: {warmup_epochs}; schedule: {schedule}; "
    "label smoothing: {label_smoothing}; classes balanced by: {balance}; gradients clipped at norm: {clip_norm}; "
    "models averaged: {ensemble}": (
        "yang dilatih: {unfreeze}; BatchNorm: {batchnorm}; epoch kepala saja: {warmup_epochs}; jadwal: {schedule}; "
        "penghalusan label: {label_smoothing}; kelas diseimbangkan dengan: {balance}; gradien dipotong pada norma: "
        "{clip_norm}; model yang dirata-ratakan: {ensemble}"
    ),
    "learning rate: {rate}": "laju belajar: {rate}",
    "Head": "Kepala",
    "global average pooling, 256 units, dropout, one output a class": (
        "global average pooling, 256 unit, dropout, satu keluaran per kelas"
    ),
    "Training": "Pelatihan",
    "{epochs} epochs, batches of {batch}, learning rate {rate}, weight decay {decay} with AdamW, {views} augmented "
    "views": (
        "{epochs} epoch, batch {batch}, laju belajar {rate}, weight decay {decay} dengan AdamW, {views} tampilan "
        "augmentasi"
    ),
    "Testing": "Pengujian",
    "scores averaged over {views} views of each photo, when served too": (
        "skor dirata-ratakan dari {views} tampilan tiap foto, juga saat dilayankan"
    ),
    "photos with like hashes are in one fold": "foto dengan hash yang mirip berada dalam satu fold",
    "Split": "Pembagian",
    "{folds} folds, drawn by class with seed {seed}; every scenario has the same ones": (
        "{folds} fold, ditarik per kelas dengan seed {seed}; sama untuk semua skenario"
    ),
    "Each photo is tested once, by a model trained afresh on the other folds; the counts of all folds are added, and "
    "divided once.": (
        "Setiap foto diuji sekali, oleh model yang dilatih dari awal pada fold lain; hitungan semua fold dijumlahkan, "
        "lalu dibagi sekali."
    ),
    "Where a class is never predicted, its precision and F1 count as 0.": (
        "Bila suatu kelas tidak pernah menjadi jawaban, presisi dan F1-nya dihitung 0."
    ),
    "Intervals: percentile bootstrap (Efron and Tibshirani 1993). Comparisons: paired bootstrap of macro F1 and "
    "McNemar's exact test, each corrected by Holm's method (1979).": (
        "Selang: bootstrap persentil (Efron dan Tibshirani 1993). Perbandingan: bootstrap berpasangan F1 makro dan uji "
        "eksak McNemar, masing-masing dikoreksi dengan metode Holm (1979)."
    ),
    "Calibration: expected calibration error over 15 bins of equal width (Naeini et al. 2015, Guo et al. 2017).": (
        "Kalibrasi: galat kalibrasi harapan dengan 15 kelompok sama lebar (Naeini dkk. 2015, Guo dkk. 2017)."
    ),
    # the model card
    "Model card: {classes}": "Kartu model: {classes}",
    "Use": "Kegunaan",
    "Figures": "Angka",
    "Where it is weak": "Kelemahannya",
    "Recipe": "Resep",
    "Not tested": "Belum diuji",
    "It is meant to suggest one of the classes for a photo of one object, to somebody who looks again.": (
        "Model ini untuk mengusulkan salah satu kelas bagi foto satu benda, kepada orang yang melihatnya lagi."
    ),
    "It is not meant to sort by itself, nor for what is in none of the classes: it always answers with one.": (
        "Model ini bukan untuk memilah sendiri, dan bukan untuk benda di luar kelasnya: ia selalu menjawab salah satu."
    ),
    "It learned from drawn photos, to show that the pipeline works. It is of no use on real ones.": (
        "Model ini belajar dari gambar buatan, untuk menunjukkan bahwa alurnya berjalan. Pada foto asli ia tidak "
        "berguna."
    ),
    "Its backbone had random weights: it is of no use.": "Bobot backbone-nya acak: model ini tidak berguna.",
    "Scores are averaged over {views} views of each photo, when served too.": (
        "Skor dirata-ratakan dari {views} tampilan tiap foto, juga saat dilayankan."
    ),
    "Photos with like hashes were kept in one fold.": "Foto dengan hash yang mirip disatukan dalam satu fold.",
    "Macro F1 {f1} (95 % interval {low} to {high}), macro precision {precision}, macro recall {recall}.": (
        "F1 makro {f1} (selang 95 % {low} sampai {high}), presisi makro {precision}, recall makro {recall}."
    ),
    "{right} of {photos} photos right, each judged by a model trained on the other folds ({folds} in all).": (
        "{right} dari {photos} foto benar, masing-masing dinilai model yang dilatih pada fold lain (semuanya {folds})."
    ),
    "The folds lie between {low} and {high}.": "Nilai tiap fold antara {low} dan {high}.",
    "The model that is served was then trained once more, on all photos; it has no figure of its own.": (
        "Model yang dipakai kemudian dilatih sekali lagi dengan semua foto; ia tidak punya angka sendiri."
    ),
    "Of the {m} other scenarios of the study, {n} cannot be told apart from this one.": (
        "Dari {m} skenario lain dalam studi ini, {n} tidak dapat dibedakan dari yang ini."
    ),
    "It is {confidence} sure on average; the expected calibration error is {ece}.": (
        "Rata-rata ia {confidence} yakin; galat kalibrasi harapannya {ece}."
    ),
    "{name} is the weakest class: {tp} of {photos} found, and {fp} others taken for it.": (
        "{name} adalah kelas terlemah: {tp} dari {photos} ditemukan, dan {fp} yang lain dikira kelas itu."
    ),
    "{actual} is taken for {predicted} in {photos} photos.": "{actual} dikira {predicted} pada {photos} foto.",
    "{photos} photos; photos and folds have the fingerprint {digest}.": (
        "{photos} foto; sidik foto dan fold-nya {digest}."
    ),
    "The photos have not been audited for near-duplicates and doubtful labels.": (
        "Foto belum diaudit untuk foto yang hampir kembar dan label yang meragukan."
    ),
    "Pairs of near-duplicates that the audit found: {pairs}; of these, across folds: {across}.": (
        "Pasang foto yang hampir kembar yang ditemukan audit: {pairs}; di antaranya antar-fold: {across}."
    ),
    "With near-duplicates kept in one fold, macro F1 of scenario {scenario}, its backbone frozen, is "
    "{grouped}, against {plain} with folds drawn plainly.": (
        "Bila foto yang hampir kembar disatukan dalam satu fold, F1 makro skenario {scenario}, dengan backbone "
        "dibekukan, {grouped}, dibanding {plain} dengan fold yang ditarik biasa."
    ),
    "The audit doubts {photos} labels.": "Audit meragukan {photos} label.",
    "{backbone}, frozen, weights {weights}, at {size} x {size} pixels; {optimizer}, dropout {dropout}; {parameters} "
    "parameters.": (
        "{backbone}, dibekukan, bobot {weights}, {size} x {size} piksel; {optimizer}, dropout {dropout}; {parameters} "
        "parameter."
    ),
    "{backbone}, fine-tuned from weights {weights}, at {size} x {size} pixels; {optimizer}, dropout {dropout}; "
    "{parameters} parameters.": (
        "{backbone}, dilatih lanjut dari bobot {weights}, {size} x {size} piksel; {optimizer}, dropout {dropout}; "
        "{parameters} parameter."
    ),
    "Each of the {count} models has so many parameters; what stays frozen they share.": (
        "Masing-masing dari {count} model memiliki sekian parameter; bagian yang dibekukan dipakai bersama."
    ),
    "Code {code}; {packages}.": "Kode {code}; {packages}.",
    "Photos from elsewhere: other backgrounds, light, cameras, countries and brands than those it learned from.": (
        "Foto dari tempat lain: latar, cahaya, kamera, negara, dan merek selain yang dipelajarinya."
    ),
    "Several objects in one photo, parts of objects, and things that belong to none of the classes.": (
        "Beberapa benda dalam satu foto, bagian benda, dan benda yang tidak termasuk kelas mana pun."
    ),
    "Photos made to deceive it.": "Foto yang dibuat untuk menipunya.",
    "Whether people sort better with it than without.": "Apakah orang memilah lebih baik dengannya daripada tanpanya.",
}
