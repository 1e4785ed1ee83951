"""Operations: bulk changes over a tree, planned as rows, applied item by item as commands, steered and put back. Pure.

`operation` has the nouns, `selection` what is meant, `planning` how nodes become items, `control` what a request changes,
`turn` when an operation pauses and how it ends, `reversal` how an item is put back, `commands` the command of an item.
"""
