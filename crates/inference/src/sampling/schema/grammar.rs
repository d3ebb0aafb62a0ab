//! A JSON schema as a graph of the values that it allows.

/// Most readings of a text that are followed at a time; the first ones in the order of the schema stay.
pub(super) const READINGS: usize = 128;

/// Place of a node in a [`Grammar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub u32);

/// Texts that a schema allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grammar {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// One of these texts, in ascending order.
    Literals(Vec<Box<[u8]>>),
    /// A string of so many characters.
    Text(Length),
    Number(NumberKind),
    Array {
        items: NodeId,
        length: Length,
    },
    /// These members in this order.
    Object(Vec<Member>),
    /// Members of any name.
    Map(NodeId),
    AnyOf(Vec<NodeId>),
}

/// Fewest and most characters or items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub least: u32,
    pub most: u32,
}

impl Length {
    pub const ANY: Length = Length { least: 0, most: u32::MAX };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberKind {
    /// No fraction and no exponent.
    Whole,
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The name as JSON, with quotation marks.
    pub key: Box<[u8]>,
    pub value: NodeId,
    pub need: Need,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

impl Grammar {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// True if every text is an object.
    pub(super) fn is_object(&self) -> bool {
        let is_object = |id: &NodeId| matches!(self.node(*id), Node::Object(_) | Node::Map(_));
        match self.node(self.root) {
            Node::AnyOf(all) => all.iter().all(is_object),
            _ => is_object(&self.root),
        }
    }

    /// Replaces alternatives that are alternatives themselves, so that none is followed twice. Returns the largest number of
    /// alternatives. There must be no [`Grammar::empty_cycle`].
    pub(super) fn flatten(&mut self) -> Option<usize> {
        let flat: Vec<Option<Vec<NodeId>>> =
            (0..self.nodes.len() as u32).map(|id| self.alternatives(NodeId(id))).collect();
        let most = flat.iter().flatten().map(Vec::len).max();
        for (node, all) in self.nodes.iter_mut().zip(flat) {
            if let Some(all) = all {
                *node = Node::AnyOf(all);
            }
        }
        most
    }

    /// The values behind alternatives, in order; `None` for a value.
    fn alternatives(&self, id: NodeId) -> Option<Vec<NodeId>> {
        let Node::AnyOf(_) = self.node(id) else { return None };
        let (mut found, mut seen, mut open) = (Vec::new(), vec![false; self.nodes.len()], vec![id]);
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            match self.node(id) {
                Node::AnyOf(all) => open.extend(all.iter().rev()),
                _ => found.push(id),
            }
        }
        Some(found)
    }

    /// A node that reaches itself before any byte is read, if there is one.
    pub(super) fn empty_cycle(&self) -> Option<NodeId> {
        // 0 unseen, 1 on the path, 2 done.
        let mut marks = vec![0u8; self.nodes.len()];
        (0..self.nodes.len() as u32).map(NodeId).find(|id| self.reaches_itself(*id, &mut marks))
    }

    fn reaches_itself(&self, id: NodeId, marks: &mut [u8]) -> bool {
        let index = id.0 as usize;
        if marks[index] > 0 {
            return marks[index] == 1;
        }
        marks[index] = 1;
        let found = match self.node(id) {
            Node::AnyOf(all) => all.iter().any(|one| self.reaches_itself(*one, marks)),
            _ => false,
        };
        marks[index] = 2;
        found
    }

    /// Removes choices that no text ever ends, such as an optional member that contains itself. False if the root is one.
    pub(super) fn keep_finite(&mut self) -> bool {
        let mut finite = vec![false; self.nodes.len()];
        loop {
            let is = |id: &NodeId| finite[id.0 as usize];
            let next: Vec<bool> = self
                .nodes
                .iter()
                .map(|node| match node {
                    Node::Literals(all) => !all.is_empty(),
                    Node::Text(_) | Node::Number(_) | Node::Map(_) => true,
                    Node::Array { items, length } => length.least == 0 || is(items),
                    Node::Object(members) => {
                        members.iter().all(|member| member.need == Need::Optional || is(&member.value))
                    }
                    Node::AnyOf(all) => all.iter().any(is),
                })
                .collect();
            if next == finite {
                break;
            }
            finite = next;
        }
        let is = |id: &NodeId| finite[id.0 as usize];
        for node in &mut self.nodes {
            match node {
                Node::Array { items, length } if !is(items) => length.most = 0,
                Node::Object(members) => members.retain(|member| member.need == Need::Required || is(&member.value)),
                Node::AnyOf(all) => all.retain(|one| is(one)),
                _ => {}
            }
        }
        is(&self.root)
    }
}
