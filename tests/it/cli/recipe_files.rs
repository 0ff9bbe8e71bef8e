//! What `recipes` lists and prints.

use fs_err as fs;
use insta::assert_snapshot;

use super::small;
use crate::support::{Fixture, repository};

#[test]
fn recipes_are_listed_and_printed_as_the_files_they_are() {
    let fixture = Fixture::new();
    let list = fixture.ran("recipes").succeeded();
    assert_snapshot!(list.stdout, @"
    t5                           T5 span corruption: 15 % noise in spans of mean length 3
    t5-iid                       T5's baseline: 15 % noise in tokens drawn independently
    prefix-lm                    T5's prefix language modelling: split at a uniform place
    causal-lm                    causal language modelling: documents joined with EOS, every token a target
    ul2                          UL2: two R, one S and four X denoisers, weight 1/7 each, with the paper's mode tokens
    ul2-20b                      UL2 20B: the seven denoisers of `ul2` with the checkpoint's mode tokens
    flan-ul2                     Flan-UL2: the seven denoisers of `ul2` without mode tokens, 128 sentinels
    ul2r                         UL2R: 50 % S, 25 % R, 25 % X, with U-PaLM's mode tokens
    u-palm                       U-PaLM: UL2R in the causal layout, 1,024 + 1,024 ids, packed
    text-denoising               text-denoising: 50 % S with a half split, 25 % R, 25 % X from two masks united
    oslo-t5                      OSLO's T5: span corruption of documents joined with EOS
    fairseq-t5                   fairseq's span_masked_lm: span corruption of 1,022 tokens, EOS in the labels only
    label-aware-concat           label-aware: text and label joined, T5 span corruption of both
    label-aware-full-label       label-aware: the label is the noise, the text is kept
    label-aware-multiple-choice  label-aware: choose the label among 2 to 18 others
    label-aware-separate         label-aware: 15 % of the text and 50 % of the label
    label-aware-permute          label-aware: a row for each way to mask the label's tokens
    openmoe                      OpenMoE: 50 % S, 20 % R, 30 % X in the causal layout, 1,024 + 1,024 ids
    improved-t5-ul2              improved-t5's pile_ul2: one third each of R, S and X with (32, .5), no mode tokens
    garcia-ul2                   Garcia et al.: 60 % causal, 20 % prefix language modelling, 20 % span corruption

    recipe                         denoiser  mode    share                           noise  density  realised      segment  sentinels
    t5                                    r     R  100.0 %                       (3, 0.15)    0.150     0.150          568         28
    t5-iid                              iid     R  100.0 %                     tokens 0.15    0.150     0.151          511         77
    prefix-lm                             s     S  100.0 %                          suffix    0.500     0.503          512          0
    causal-lm                             c     S  100.0 %                           whole    1.000     1.000          512          0
    ul2                                 r-3     R   14.3 %                       (3, 0.15)    0.150     0.150          565         28
    ul2                                 r-8     R   14.3 %                       (8, 0.15)    0.150     0.150          585         11
    ul2                                   s     S   14.3 %                          suffix    0.500     0.503          509          0
    ul2                           x-3-dense     X   14.3 %                        (3, 0.5)    0.500     0.499   753 of 763        127
    ul2                           x-8-dense     X   14.3 %                        (8, 0.5)    0.500     0.500          904         56
    ul2                                x-64     X   14.3 %                      (64, 0.15)    0.150     0.150          595          2
    ul2                          x-64-dense     X   14.3 %                       (64, 0.5)    0.500     0.500         1000          8
    ul2-20b                             r-3     R   14.3 %                       (3, 0.15)    0.150     0.149          562         28
    ul2-20b                             r-8     R   14.3 %                       (8, 0.15)    0.150     0.149          582         11
    ul2-20b                               s     S   14.3 %                          suffix    0.500     0.503          507          0
    ul2-20b                       x-3-dense     X   14.3 %                        (3, 0.5)    0.500     0.499   753 of 759        127
    ul2-20b                       x-8-dense     X   14.3 %                        (8, 0.5)    0.500     0.500          900         56
    ul2-20b                            x-64     X   14.3 %                      (64, 0.15)    0.150     0.150          593          2
    ul2-20b                      x-64-dense     X   14.3 %                       (64, 0.5)    0.500     0.500          996          8
    flan-ul2                            r-3     R   14.3 %                       (3, 0.15)    0.150     0.150          568         28
    flan-ul2                            r-8     R   14.3 %                       (8, 0.15)    0.150     0.150          588         11
    flan-ul2                              s     S   14.3 %                          suffix    0.500     0.503          512          0
    flan-ul2                      x-3-dense     X   14.3 %                        (3, 0.5)    0.500     0.499   753 of 766        128
    flan-ul2                      x-8-dense     X   14.3 %                        (8, 0.5)    0.500     0.500          908         57
    flan-ul2                           x-64     X   14.3 %                      (64, 0.15)    0.150     0.150          599          2
    flan-ul2                     x-64-dense     X   14.3 %                       (64, 0.5)    0.500     0.500         1006          8
    ul2r                                  s     S   50.0 %                          suffix    0.500     0.503          507          0
    ul2r                                  r     R   25.0 %                       (3, 0.15)    0.150     0.149          562         28
    ul2r                               x-32     X   12.5 %                      (32, 0.15)    0.150     0.150          592          3
    ul2r                            x-dense     X   12.5 %                        (3, 0.5)    0.500     0.499   753 of 759        127
    u-palm                                s     S   50.0 %                          suffix    0.500     0.503         1020          0
    u-palm                                r     R   25.0 %               (3, 0.15) uniform    0.150     0.150         1097         87
    u-palm                             x-32     X   12.5 %                      (32, 0.15)    0.150     0.150         1192          6
    u-palm                          x-dense     X   12.5 %                        (3, 0.5)    0.500     0.499  753 of 1528        255
    text-denoising                        r     R   25.0 %                       (3, 0.15)    0.150     0.150          667         33
    text-denoising                        s     S   50.0 %                      suffix 0.5    0.500     0.500         1198          0
    text-denoising                        x     X   25.0 %           (32, 0.5) ∪ (64, 0.2)    0.600     0.592          833         16
    oslo-t5                               r     R  100.0 %                       (3, 0.15)    0.150     0.150          568         28
    fairseq-t5                            r     R  100.0 %                       (3, 0.15)    0.150     0.150         1022         51
    label-aware-concat               concat     R  100.0 %                       (3, 0.15)    0.150     0.150          568         28
    label-aware-full-label            label     S  100.0 %                           label        -         -          511          1
    label-aware-multiple-choice      choice     S  100.0 %            label beside 2 to 18        -         -          512          0
    label-aware-separate           separate     R  100.0 %  text (3, 0.15), label (3, 0.5)        -         -          568         29
    label-aware-permute             permute     R  100.0 %           label, up to 255 rows        -         -          511          1
    openmoe                             r-3     R   10.0 %                       (3, 0.15)    0.150     0.150         1131         57
    openmoe                             r-8     R   10.0 %                       (8, 0.15)    0.150     0.150         1172         22
    openmoe                       x-3-dense     X   10.0 %                        (3, 0.5)    0.500     0.499  753 of 1527        255
    openmoe                       x-8-dense     X   10.0 %                        (8, 0.5)    0.500     0.500         1811        113
    openmoe                      x-64-dense     X   10.0 %                       (64, 0.5)    0.500     0.500         2004         16
    openmoe                               s     S   50.0 %                          suffix    0.500     0.503         1019          0
    improved-t5-ul2                       r     R   33.3 %                       (3, 0.15)    0.150     0.150          568         28
    improved-t5-ul2                       s     S   33.3 %                          suffix    0.500     0.503          512          0
    improved-t5-ul2                       x     X   33.3 %                       (32, 0.5)    0.500     0.500          990         15
    garcia-ul2                            c     S   60.0 %                           whole    1.000     1.000         1023          0
    garcia-ul2                            s     S   20.0 %                          suffix    0.500     0.503         1023          0
    garcia-ul2                            r     R   10.0 %                       (3, 0.15)    0.150     0.150          929         46
    garcia-ul2                            x     X   10.0 %                       (32, 0.5)    0.500     0.501          991         16
    ");
    for recipe in ["t5", "ul2", "ul2r"] {
        let printed = fixture.ran(&format!("recipes {recipe}")).succeeded();
        let file = fs::read_to_string(repository(&format!("src/recipe/{recipe}.toml"))).unwrap();
        assert_eq!((printed.stdout, printed.stderr), (file, String::new()));
    }
}

#[test]
fn a_printed_recipe_is_a_recipe_file_that_gives_the_same_rows() {
    let fixture = small();
    let printed = fixture.ran("recipes ul2r").succeeded().stdout;
    fixture.write("mine.toml", printed);
    let (built_in, file) = (fixture.run("built-in", "a.jsonl"), fixture.run("file", "a.jsonl --recipe mine.toml"));
    assert_eq!(built_in.rows(), file.rows());
    assert_eq!(file.manifest()["spec"]["recipe"], "mine");
}
