"""The sentences on audit, protocol check and evaluations in Indonesian, by the English ones."""

SENTENCES = {
    # the audit
    "Audit of the photos": "Audit foto",
    "These photos and folds have not been audited. {command} does it.": (
        "Foto dan fold ini belum diaudit. {command} melakukannya."
    ),
    "Photos with a near-duplicate in another fold: {beside}; doubtful labels: {doubts}. All of it is what looks odd to "
    "a program, for somebody to look at.": (
        "Foto yang hampir kembar dengan foto di fold lain: {beside}; label yang meragukan: {doubts}. Semuanya hanya "
        "yang tampak ganjil bagi program, untuk dilihat orang."
    ),
    "What was counted": "Yang dihitung",
    "Found": "Temuan",
    "Count": "Jumlah",
    "exact copies, left out before the study": "salinan persis, tidak dipakai dalam studi",
    "files that stand under several classes, left out": "berkas yang ada di beberapa kelas, tidak dipakai",
    "pairs of near-duplicates": "pasang foto yang hampir kembar",
    "of these, across folds": "di antaranya, antar-fold",
    "of these, across classes": "di antaranya, antarkelas",
    "groups that the pairs join": "kelompok yang disatukan pasangan itu",
    "photos in these groups": "foto dalam kelompok itu",
    "photos with a near-duplicate in another fold": "foto yang hampir kembar dengan foto di fold lain",
    "doubtful labels": "label yang meragukan",
    "dark": "gelap",
    "glaring": "terlalu terang",
    "blank": "kosong",
    "blurred": "kabur",
    "odd in shape": "bentuk ganjil",
    "odd in size": "ukuran ganjil",
    "F1 with near-duplicates kept together": "F1 bila foto yang hampir kembar disatukan",
    "Scenario {number}, folds drawn by seed": "Skenario {number}, fold ditarik dengan seed",
    "Plain": "Biasa",
    "Kept together": "Disatukan",
    "With near-duplicates kept in one fold, the mean F1 is {grouped_mean} instead of {plain_mean}: a difference of "
    "{difference}.": (
        "Bila foto yang hampir kembar disatukan dalam satu fold, rata-rata F1 menjadi {grouped_mean}, bukan "
        "{plain_mean}: selisih {difference}."
    ),
    "That is within what drawing the folds anew changes without any grouping: {spread}.": (
        "Itu masih di dalam perubahan akibat menarik ulang fold tanpa penyatuan: {spread}."
    ),
    "That is more than drawing the folds anew changes without any grouping: {spread}.": (
        "Itu lebih dari perubahan akibat menarik ulang fold tanpa penyatuan: {spread}."
    ),
    "F1 with near-duplicates kept together cannot be had: some class has fewer groups of them than there are folds.": (
        "F1 bila foto yang hampir kembar disatukan tidak dapat dihitung: ada kelas yang kelompoknya lebih sedikit "
        "daripada fold."
    ),
    "Likely mislabelled photos": "Foto yang mungkin salah label",
    "The least credible labels first: the label, the class that the winner would give, and how likely it finds that "
    "class without having seen the photo. {shown} of {count} are shown; audit/label_doubts.csv has all. A doubt is no "
    "proof.": (
        "Label yang paling tidak meyakinkan lebih dulu: labelnya, kelas yang diberikan pemenang, dan peluang kelas itu "
        "menurutnya tanpa pernah melihat foto tersebut. {shown} dari {count} ditampilkan; audit/label_doubts.csv "
        "memuat semuanya. Keraguan bukan bukti."
    ),
    "{name}: labelled {label}, looks like {suggested}": "{name}: berlabel {label}, tampak seperti {suggested}",
    "None.": "Tidak ada.",
    "Near-duplicates across folds or classes": "Foto hampir kembar antar-fold atau antarkelas",
    "Those across classes first, then the most similar by the cosine of their features. {shown} of {count} pairs are "
    "shown; audit/near_duplicates.csv has all.": (
        "Yang antarkelas lebih dulu, lalu yang paling mirip menurut kosinus fiturnya. {shown} dari {count} pasang "
        "ditampilkan; audit/near_duplicates.csv memuat semuanya."
    ),
    "{name}: {label}, fold {fold}": "{name}: {label}, fold {fold}",
    "Odd photos": "Foto ganjil",
    "{shown} are shown; audit/odd_photos.csv has all.": "{shown} ditampilkan; audit/odd_photos.csv memuat semuanya.",
    "{name}: {label}, {kind}": "{name}: {label}, {kind}",
    "Near-duplicates differ in at most {bits} of the {all} bits of a perceptual hash (imagehash), or have features "
    "({backbone}) of a cosine of at least {cosine}. Doubtful labels are confident learning's (cleanlab).": (
        "Foto yang hampir kembar berbeda paling banyak {bits} dari {all} bit hash perseptual (imagehash), atau "
        "fiturnya ({backbone}) memiliki kosinus paling sedikit {cosine}. Label yang meragukan ditemukan dengan "
        "confident learning (cleanlab)."
    ),
    # the protocol check
    "Protocol check: LEAKING": "Pemeriksaan protokol: BOCOR",
    "LEAKING": "BOCOR",
    "What leakage would do to these scenarios has not been tried. {command} does it, in a table of its own.": (
        "Akibat kebocoran pada skenario ini belum dicoba. {command} melakukannya, dalam tabel tersendiri."
    ),
    "LEAKING: one model was carried through the folds and never reset, so that it was tested on photos that it had "
    "trained on. These figures show what that mistake does. They are no result.": (
        "BOCOR: satu model dibawa dari fold ke fold dan tidak pernah diulang dari awal, sehingga diuji dengan foto "
        "yang pernah dilatihkan. Angka ini menunjukkan akibat kesalahan itu, dan bukan hasil."
    ),
    "Carrying the model on gains nothing here: F1 changes by {gain} on average.": (
        "Membawa model dari fold ke fold tidak menambah apa pun di sini: F1 rata-rata berubah {gain}."
    ),
    "Carrying the model on adds {gain} to F1 on average, all of it from photos that it had seen.": (
        "Membawa model dari fold ke fold menambah F1 rata-rata {gain}, semuanya dari foto yang pernah dilihatnya."
    ),
    "Carrying the model on adds {gain} to F1 on average, and takes the mean distance from the thesis's table from "
    "{honest} to {carried}: such a leak can explain its figures.": (
        "Membawa model dari fold ke fold menambah F1 rata-rata {gain}, dan jarak tabelnya dari tabel skripsi berubah "
        "dari {honest} menjadi {carried}: kebocoran seperti ini dapat menjelaskan angka skripsi."
    ),
    "Carrying the model on adds {gain} to F1 on average, but takes the mean distance from the thesis's table from "
    "{honest} to {carried}: such a leak does not explain its figures.": (
        "Membawa model dari fold ke fold menambah F1 rata-rata {gain}, tetapi jarak tabelnya dari tabel skripsi "
        "berubah dari {honest} menjadi {carried}: kebocoran seperti ini tidak menjelaskan angka skripsi."
    ),
    "How near the tables are, by F1": "Seberapa dekat tabel-tabelnya, menurut F1",
    "Mean difference": "Selisih rata-rata",
    "Mean absolute difference": "Selisih mutlak rata-rata",
    "Rank correlation": "Korelasi peringkat",
    "honest and carried": "jujur dan dibawa",
    "honest and the thesis's": "jujur dan skripsi",
    "carried and the thesis's": "dibawa dan skripsi",
    "Honest F1": "F1 jujur",
    "LEAKING: F1 of the carried model": "BOCOR: F1 model yang dibawa",
    "The thesis's F1": "F1 skripsi",
    # evaluations
    "On other photos": "Pada foto lain",
    "The pushed model has not been tried on other photos than the study's. {command} does it, for a folder with the "
    "same class names.": (
        "Model yang dipakai belum dicoba pada foto selain foto studi. {command} melakukannya, untuk folder dengan nama "
        "kelas yang sama."
    ),
    "Evaluations of another model, or from before the study's photos changed, left out here: {count}.": (
        "Evaluasi model lain, atau dari sebelum foto studi berubah, yang tidak ditampilkan di sini: {count}."
    ),
    "Version {version} on {photos} photos from elsewhere: macro F1 {f1}, {accuracy} of them right. Cross-validated on "
    "its own photos it has macro F1 {own}.": (
        "Versi {version} pada {photos} foto dari tempat lain: F1 makro {f1}, {accuracy} di antaranya benar. Dengan "
        "validasi silang pada fotonya sendiri, F1 makronya {own}."
    ),
    "Files left out, each with its reason in evaluations/{name}-left-out.csv: {count}.": (
        "Berkas yang tidak dipakai, masing-masing dengan alasannya di evaluations/{name}-left-out.csv: {count}."
    ),
    "Not there, and not in the means: {names}.": "Tidak ada, dan tidak masuk rata-rata: {names}.",
}
