"""Parts that every chart is made of: markup, texts and their widths, numbers, scales, labels, marks, tables."""
