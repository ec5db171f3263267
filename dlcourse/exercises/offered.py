"""What libraries offer for something that an exercise asks for, under all the names they have for it.

``check.withhold`` refuses these in the grader. An attribute of a class is named like ``torch.Tensor.grad_fn``; what
stands below torch's Python names, like ``torch.ops.aten.convolution``.
"""

AUTOGRAD = (
    "torch.Tensor.backward",
    "torch.Tensor.grad_fn",
    "torch.autograd.backward",
    "torch.autograd.grad",
    "torch.func.grad",
    "torch.func.jacfwd",
    "torch.func.jacrev",
    "torch.func.jvp",
    "torch.func.vjp",
    "torch.autograd.functional.jacobian",
    "torch.autograd.functional.vjp",
    "torch.autograd.functional.jvp",
)
AUTODIFF = tuple(f"dlcourse.autodiff.{name}" for name in ("Dual", "Tensor", "Value", "grad", "jvp"))
CONVOLUTION = (
    *(f"torch.nn.functional.{name}" for name in ("conv1d", "conv2d", "conv3d", "fold", "unfold")),
    *(f"torch.nn.functional.conv_transpose{d}d" for d in (1, 2, 3)),
    *(f"torch.{name}" for name in ("conv1d", "conv2d", "conv3d", "convolution")),
    *(f"torch.conv_transpose{d}d" for d in (1, 2, 3)),
    *(f"torch.ops.aten.{name}" for name in ("convolution", "_convolution", "conv1d", "conv2d", "conv3d")),
    *(f"torch.ops.aten.{name}" for name in ("mkldnn_convolution", "thnn_conv2d", "_slow_conv2d_forward")),
    *(f"torch.ops.aten.{name}" for name in ("convolution_backward", "im2col", "col2im")),
    "torch.nn.grad.conv2d_input",
    "torch.nn.grad.conv2d_weight",
    *(f"scipy.signal.{name}" for name in ("correlate2d", "convolve2d", "correlate", "convolve")),
    *(f"scipy.signal.{name}" for name in ("fftconvolve", "oaconvolve")),
    *(f"scipy.signal._sigtools.{name}" for name in ("_convolve2d", "_correlateND")),
    *(f"scipy.ndimage.{name}" for name in ("correlate", "convolve")),
    "scipy.ndimage._nd_image.correlate",
)
POOLING = (
    *(
        f"torch.nn.functional.{kind}_pool{d}d"
        for kind in ("max", "avg", "adaptive_max", "adaptive_avg", "lp")
        for d in (1, 2)
    ),
    *(f"torch.nn.functional.max_pool{d}d_with_indices" for d in (1, 2)),
    *(
        f"torch.{name}"
        for name in ("max_pool1d", "max_pool2d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d")
    ),
    *(f"torch.ops.aten.{name}" for name in ("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d")),
    *(f"torch.ops.aten.{name}" for name in ("max_pool2d_with_indices", "max_pool2d_with_indices_backward")),
    *(f"torch.ops.aten.{name}" for name in ("avg_pool2d_backward", "_adaptive_avg_pool2d")),
    *(f"scipy.ndimage.{name}" for name in ("maximum_filter", "uniform_filter", "grey_dilation")),
)
SIGMOID = (
    "dlcourse.neuron.activate",
    "dlcourse.activations.sigmoid_backward",
    "dlcourse.activations.sigmoid_forward",
    "scipy.special._ufuncs.expit",
    "scipy.special.expit",
    "torch.nn.functional.sigmoid",
    "torch.ops.aten.sigmoid",
    "torch.sigmoid",
    "torch.special.expit",
)
CROSS_ENTROPY = (
    *(f"dlcourse.losses.{name}_{way}" for name in ("log", "softmax_cross_entropy") for way in ("forward", "backward")),
    "sklearn.metrics.log_loss",
    "torch.nn.CrossEntropyLoss",
    "torch.nn.functional.cross_entropy",
    "torch.nn.functional.nll_loss",
    "torch.ops.aten.cross_entropy_loss",
    "torch.ops.aten.nll_loss",
)
LOGISTIC_LOSS = (
    "dlcourse.losses.binary_cross_entropy_forward",
    "dlcourse.losses.binary_cross_entropy_backward",
    *(f"torch.nn.functional.{name}" for name in ("soft_margin_loss", "binary_cross_entropy_with_logits")),
    *(f"torch.ops.aten.{name}" for name in ("soft_margin_loss", "binary_cross_entropy_with_logits")),
    "torch.nn.SoftMarginLoss",
    "torch.nn.BCEWithLogitsLoss",
)
HINGE_LOSS = ("dlcourse.losses.hinge_forward", "dlcourse.losses.hinge_backward", "sklearn.metrics.hinge_loss")
LINEAR_CLASSIFIERS = (
    *(f"sklearn.linear_model.{name}" for name in ("LogisticRegression", "LogisticRegressionCV", "Perceptron")),
    *(f"sklearn.linear_model.{name}" for name in ("RidgeClassifier", "RidgeClassifierCV", "SGDClassifier")),
    *(f"sklearn.svm.{name}" for name in ("LinearSVC", "NuSVC", "SVC")),
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.neighbors.KNeighborsClassifier",
    "sklearn.neural_network.MLPClassifier",
)
OPTIMISERS = (
    *(f"dlcourse.optim.{name}_step" for name in ("sgd", "adagrad", "rmsprop", "adadelta", "adam", "adamw")),
    *(f"dlcourse.optim.{name}" for name in ("SGD", "Adagrad", "RMSProp", "AdaDelta", "Adam", "AdamW", "Optimiser")),
    *(f"dlcourse.optim.{name}" for name in ("clip_norm", "warm_up_cosine", "warm_up", "cosine")),
    "dlcourse.mlp.SGD",
    *(f"torch.optim.{name}" for name in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam")),
    *(f"torch.optim.{name}" for name in ("Adamax", "LBFGS", "Rprop", "ASGD")),
    *(f"torch.optim.lr_scheduler.{name}" for name in ("CosineAnnealingLR", "LinearLR", "SequentialLR")),
    *(f"torch.nn.utils.{name}" for name in ("clip_grad_norm_", "clip_grad.clip_grad_norm_")),
)
NORMALISATION = (
    *(f"dlcourse.norm.{name}_norm_{way}" for name in ("batch", "layer", "group") for way in ("forward", "backward")),
    *(f"dlcourse.norm.{name}" for name in ("instance_norm_forward", "instance_norm_backward", "NormMLP")),
    *(f"dlcourse.norm.{name}" for name in ("standardise_forward", "standardise_backward", "update_running")),
    *(f"torch.nn.functional.{name}_norm" for name in ("batch", "layer", "group", "instance")),
    *(f"torch.{name}_norm" for name in ("batch", "layer", "group", "instance", "native_batch", "native_layer")),
    *(f"torch.ops.aten.{name}_norm" for name in ("batch", "layer", "group", "instance")),
    *(f"torch.ops.aten.native_{name}_norm" for name in ("batch", "layer", "group")),
    *(f"torch.ops.aten.native_{name}_norm_backward" for name in ("batch", "layer", "group")),
    "torch.native_group_norm",
    "sklearn.preprocessing.StandardScaler",
    "sklearn.preprocessing.scale",
)
RECURRENT = (
    *(f"dlcourse.rnn.{kind}_{part}" for kind in ("rnn", "lstm", "gru") for part in ("forward", "backward", "step")),
    *(f"dlcourse.rnn.{name}_{way}" for name in ("embedding", "additive_attention") for way in ("forward", "backward")),
    "dlcourse.rnn.jacobians",
    *(f"dlcourse.seq.{name}" for name in ("AdditiveAttention", "CharacterModel", "Reader", "Translator", "recurrent")),
    *(f"torch.nn.{name}{cell}" for name in ("RNN", "LSTM", "GRU") for cell in ("", "Cell")),
    *(f"torch.{name}" for name in ("lstm", "gru", "rnn_tanh", "lstm_cell", "gru_cell", "rnn_tanh_cell", "embedding")),
    *(f"torch.ops.aten.{name}" for name in ("lstm", "gru", "rnn_tanh", "lstm_cell", "gru_cell", "rnn_tanh_cell")),
    *(f"torch.ops.aten.{name}" for name in ("embedding", "embedding_dense_backward")),
    *(f"torch.nn.functional.{name}" for name in ("embedding", "embedding_bag")),
    *("torch.nn.Embedding", "torch.nn.EmbeddingBag"),
)
DROPOUT = (
    *(f"dlcourse.regularization.dropout_{way}" for way in ("forward", "backward")),
    *(f"torch.nn.functional.{name}" for name in ("dropout", "alpha_dropout", "feature_alpha_dropout")),
    *(f"torch.{name}" for name in ("dropout", "native_dropout")),
    *(f"torch.ops.aten.{name}" for name in ("dropout", "native_dropout", "native_dropout_backward")),
)
ATTENTION = (
    *(f"dlcourse.attention.{name}" for name in ("smooth", "smooth_one", "masked_softmax", "sinusoidal")),
    *(f"dlcourse.attention.{name}_{way}" for name in ("attention", "multi_head") for way in ("forward", "backward")),
    *(f"dlcourse.attention.blockwise_attention_{way}" for way in ("forward", "backward")),
    *(f"dlcourse.transformer.{name}" for name in ("SelfAttention", "Block", "Encoder", "GPT", "Positions")),
    *(f"torch.nn.functional.{name}" for name in ("scaled_dot_product_attention", "multi_head_attention_forward")),
    *(f"torch.nn.{name}" for name in ("MultiheadAttention", "Transformer", "TransformerEncoderLayer")),
    *(f"torch.ops.aten.{name}" for name in ("scaled_dot_product_attention", "_scaled_dot_product_attention_math")),
    *(f"torch.ops.aten.{name}" for name in ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")),
)
BYTE_PAIRS = ("dlcourse.tokenizer.BytePair", "dlcourse.tokenizer.merge")
